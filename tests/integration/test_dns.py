"""TXT records, asked of a name server that speaks DNS."""

import asyncio
from contextlib import asynccontextmanager

import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.asyncresolver import Resolver

from waypost.net import dns as dns_txt
from waypost.net.dns import DnsSilent, txt

pytestmark = pytest.mark.anyio


class NameServer(asyncio.DatagramProtocol):
    """Answers what it is told to; nothing at all when told None."""

    def __init__(self, answer):
        self.answer = answer

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        if (response := self.answer(query)) is not None:
            self.transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def asked(answer):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(answer), local_addr=("127.0.0.1", 0)
    )
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    yield resolver
    transport.close()


def records(*texts):
    def answer(query):
        response = dns.message.make_response(query)
        if texts:
            response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "TXT", *texts))
        return response

    return answer


def failing(code):
    def answer(query):
        response = dns.message.make_response(query)
        response.set_rcode(code)
        return response

    return answer


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (records('"v=DKIM1; p=MII" "Bkey"'), ["v=DKIM1; p=MIIBkey"]),
        (records('"one"', '"two"'), ["one", "two"]),
        (records(), []),
        (failing(dns.rcode.NXDOMAIN), []),
    ],
)
async def test_the_texts_of_a_name(answer, found):
    async with asked(answer) as resolver:
        assert sorted(await txt("a.example", resolver)) == found


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (failing(dns.rcode.SERVFAIL), "reported a failure"),
        (lambda query: None, "no response within 0.3 s"),
    ],
)
async def test_a_server_that_does_not_answer_says_nothing_about_the_name(monkeypatch, answer, why):
    monkeypatch.setattr(dns_txt, "ANSWERS_WITHIN", 0.3)
    async with asked(answer) as resolver:
        with pytest.raises(DnsSilent, match=why):
            await txt("a.example", resolver)
