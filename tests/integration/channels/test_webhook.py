"""Webhooks to a real server that does one thing otherwise than a good one."""

import asyncio
import json
import logging
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpcore
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.webhook.channel import WebhookChannel
from waypost.model.outcome import Phase, Verdict
from waypost.net.webhook_url import parse

pytestmark = pytest.mark.anyio

SECRET = b"an old secret of 24 byte"
NEWER = b"a newer secret of 31 bytes here"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status, body=b"no", *headers):
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Product:
    """A product's web server. `says` is its answer, or what it does with a connection's writer."""

    def __init__(self):
        self.says = OK
        self.posts = []  # request line, headers, body
        self.connections = 0
        self.port = 0

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                line, *fields = head.split("\r\n")[:-2]
                headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.posts.append((line, headers, body))
                if callable(self.says):
                    await self.says(writer)
                else:
                    writer.write(self.says)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self, tls=None, host="127.0.0.1"):
        listening = await asyncio.start_server(self._serve, host, 0, ssl=tls)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listening.close()


@pytest.fixture
async def product():
    async with Product().running() as product:
        yield product


@pytest.fixture
async def to():
    """A channel to an address, closed at the end."""
    async with AsyncExitStack() as stack:

        def make(url, secrets=(SECRET,), **terms):
            terms = {"allow_private": True, "attempt_seconds": 5.0, **terms}
            channel = WebhookChannel("hook", parse(f"webhook+{url}"), secrets, **terms)
            stack.push_async_callback(channel.close)
            return channel

        yield make


@pytest.fixture
def channel(to, product):
    return to(f"http://127.0.0.1:{product.port}/hooks/hunter2?token=tok3n")


@pytest.fixture
def note(write):
    return lambda text="Hello": write(text, channel="webhook", phone="ada")


@pytest.mark.parametrize("secret", [SECRET, NEWER])
async def test_its_signature_is_good_by_either_secret(to, product, note, secret):
    await to(f"http://127.0.0.1:{product.port}/", [SECRET, NEWER]).send(note("Grüße 😀"))
    ((_, headers, body),) = product.posts
    assert Webhook(secret).verify(body, headers)["data"]["text"] == "Grüße 😀"


async def test_its_signature_is_bad_by_any_other_or_for_any_other_body(channel, product, note):
    await channel.send(note())
    ((_, headers, body),) = product.posts
    for secret, read in ((NEWER, body), (SECRET, body + b" ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(read, headers)


async def test_what_the_product_is_told(channel, product, note):
    message = note()
    await channel.send(message)
    ((line, headers, body),) = product.posts
    assert line == "POST /hooks/hunter2?token=tok3n HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{product.port}"
    written = json.loads(body)
    assert written["type"] == "note"
    assert datetime.fromisoformat(written["timestamp"]) == message.notification.accepted_at
    assert datetime.fromisoformat(written["data"].pop("expires_at")) == message.notification.expires_at
    assert written["data"] == {
        "id": str(message.notification.id),
        "recipient": "ada",
        "address": "ada",
        "title": "A title",
        "text": "Hello",
    }


async def test_an_address_of_ipv6_is_written_in_brackets(to, note):
    try:
        async with Product().running(host="::1") as product:
            await to(f"http://[::1]:{product.port}/").send(note())
    except OSError:
        pytest.skip("no IPv6 on this machine")
    ((_, headers, _),) = product.posts
    assert headers["host"] == f"[::1]:{product.port}"


async def test_another_attempt_has_the_same_id_and_body_over_the_same_connection(channel, product, note):
    message = note()
    for _ in range(2):
        await channel.send(message)
    (_, first, body), (_, second, again) = product.posts
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert product.connections == 1


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.ACCEPTED),
        (204, Verdict.ACCEPTED),
        (301, Verdict.REFUSED),
        (307, Verdict.REFUSED),
        (400, Verdict.REFUSED),
        (410, Verdict.REFUSED),
        (408, Verdict.DEFERRED),
        (429, Verdict.DEFERRED),
        (500, Verdict.DEFERRED),
        (503, Verdict.DEFERRED),
    ],
)
async def test_a_status_makes_the_answer_definite(channel, product, note, status, verdict):
    product.says = answer(status, b"")
    outcome = await channel.send(note())
    assert (outcome.verdict, outcome.phase, outcome.code) == (verdict, Phase.DOT, status)


async def test_a_redirect_is_not_followed_and_says_so(channel, product, note):
    product.says = answer(301, b"no", f"Location: http://127.0.0.1:{product.port}/elsewhere")
    outcome = await channel.send(note())
    assert "redirects are not followed" in outcome.words
    assert "elsewhere" not in str(outcome)
    assert len(product.posts) == 1


@pytest.mark.parametrize("date", [False, True])
async def test_a_wait_that_the_server_names_is_kept(channel, product, note, date):
    named = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True) if date else "120"
    product.says = answer(429, b"slow down", f"Retry-After: {named}")
    outcome = await channel.send(note())
    assert timedelta(seconds=100) < outcome.wait <= timedelta(seconds=120)
    assert outcome.words == "HTTP 429: slow down"


async def hang_up(writer):
    writer.close()


async def reset(writer):
    writer.transport.abort()


async def half_an_answer(writer):
    writer.write(b"HTTP/1.1 200")
    writer.close()


async def no_http(writer):
    writer.write(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")


async def endless_head(writer):
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000)


async def endless_interim_answers(writer):
    while True:
        writer.write(b"HTTP/1.1 100 \r\n\r\n" * 100)
        await writer.drain()


@pytest.mark.parametrize(
    "bend", [hang_up, reset, half_an_answer, no_http, endless_head, endless_interim_answers]
)
async def test_without_an_answer_it_is_unknown(channel, product, note, bend):
    product.says = bend
    outcome = await asyncio.wait_for(channel.send(note()), 60)
    assert (outcome.verdict, outcome.phase, outcome.code) == (Verdict.UNKNOWN, Phase.DOT, None)
    product.says = OK
    assert (await channel.send(note())).verdict is Verdict.ACCEPTED


async def say_nothing(writer):
    await asyncio.sleep(2)


async def trickle(writer):
    for letter in b"HTTP/1.1 200 OK\r\n":
        writer.write(bytes([letter]))
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("bend", [say_nothing, trickle])
async def test_a_slow_answer_is_waited_for_so_long(to, product, note, bend):
    product.says = bend
    channel = to(f"http://127.0.0.1:{product.port}/", attempt_seconds=0.3)
    outcome = await channel.send(note())
    assert (outcome.verdict, outcome.words) == (Verdict.UNKNOWN, "no response within 0.3 s")


@pytest.mark.parametrize(("status", "verdict"), [(200, Verdict.ACCEPTED), (400, Verdict.REFUSED)])
async def test_the_status_stands_whatever_becomes_of_the_body(to, product, note, status, verdict):
    async def half(writer):
        writer.write(answer(status, b"x" * 100)[:-50])
        await asyncio.sleep(1)

    product.says = half
    channel = to(f"http://127.0.0.1:{product.port}/", attempt_seconds=0.2)
    outcome = await channel.send(note())
    assert (outcome.verdict, outcome.code) == (verdict, status)


@pytest.mark.parametrize("status", [200, 500])
async def test_of_a_huge_answer_little_is_read(channel, product, note, status):
    written = 0

    async def pour(writer):
        nonlocal written
        writer.write(f"HTTP/1.1 {status} Words\r\nContent-Length: 1000000000\r\n\r\n".encode())
        for _ in range(1000):
            writer.write(b"much " * 200_000)
            await writer.drain()
            written += 1

    product.says = pour
    outcome = await channel.send(note())
    assert outcome.code == status
    assert len(outcome.words) <= 500
    assert written < 100
    product.says = OK
    assert (await channel.send(note())).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no such\r\n\tuser\x1b[31m", "HTTP 400: no such user [31m"),
        ("Grüße".encode(), "HTTP 400: Grüße"),
        (b"", "HTTP 400"),
        (bytes(range(256)) * 10, "HTTP 400"),
        (b"a\0b", "HTTP 400"),
        (b"Cannot POST /hooks/hunter2?token=tok3n", "HTTP 400: Cannot POST /***/***?***"),
        (b'{"text": "your code is 123456"}', 'HTTP 400: {"text": "your code is ***"}'),
    ],
)
async def test_the_servers_words_are_kept_without_what_is_nobody_elses(channel, product, note, body, words):
    product.says = answer(400, body)
    assert (await channel.send(note("Your code: 123456."))).words == words


async def test_half_a_secret_at_the_end_of_what_is_read_is_no_word(channel, product, note):
    product.says = answer(400, b"x " * 100 + b"https://a.example/?t=" + b"secret1" * 200)
    outcome = await channel.send(note("https://a.example/?t=" + "secret1" * 200))
    assert "secret1" not in outcome.words


async def test_a_port_where_nobody_listens_is_unavailable(to, note):
    with pytest.raises(ChannelUnavailable, match="refused") as down:
        await to("http://127.0.0.1:1/hunter2").send(note())
    assert "hunter2" not in str(down.value)
    assert "127.0.0.1" not in str(down.value)


async def test_a_name_that_leads_nowhere_is_unavailable(to, note):
    with pytest.raises(ChannelUnavailable, match="cannot be resolved"):
        await to("https://nowhere.invalid/").send(note())


@pytest.mark.parametrize(
    ("shown", "trusted", "words"),
    [
        ("127.0.0.1", True, None),
        ("other.example", True, "certificate is not trusted"),
        ("127.0.0.1", False, "certificate is not trusted"),
    ],
)
async def test_a_certificate_is_checked(to, authority, note, shown, trusted, words):
    async with Product().running(authority.server(shown)) as product:
        ca = str(authority.ca) if trusted else None
        channel = to(f"https://127.0.0.1:{product.port}/", ca=ca)
        if words is None:
            assert (await channel.send(note())).verdict is Verdict.ACCEPTED
        else:
            with pytest.raises(ChannelUnavailable, match=words):
                await channel.send(note())
            assert product.posts == []


async def test_a_server_without_tls_is_unavailable(to, note):
    async def complain(_, writer):
        writer.write(answer(400))
        writer.close()

    async with await asyncio.start_server(complain, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(ChannelUnavailable, match=r"WRONG_VERSION|RECORD_LAYER"):
            await to(f"https://127.0.0.1:{port}/").send(note())


@pytest.mark.filterwarnings("error::ResourceWarning")
async def test_a_server_that_does_not_finish_tls_has_no_connection_and_none_is_left(to, note):
    left = asyncio.Event()

    async def listen(reader, writer):
        while await reader.read(1000):
            pass
        left.set()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        outcome = await to(f"https://127.0.0.1:{port}/", attempt_seconds=0.2).send(note())
        await asyncio.wait_for(left.wait(), 1)
    assert (outcome.verdict, outcome.phase) == (Verdict.DEFERRED, Phase.CONNECT)


@pytest.fixture
def leads(monkeypatch):
    """Names lead to these addresses, one after the other."""

    def make(*addresses):
        turns = iter(addresses)
        loop = asyncio.get_running_loop()
        asked = []

        async def resolve(host, port, **_):
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(turns)]

        monkeypatch.setattr(loop, "getaddrinfo", resolve, raising=False)
        return asked

    return make


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"])
async def test_a_name_that_leads_to_a_private_network_is_not_followed(to, product, note, leads, address):
    leads([address])
    channel = to(f"https://hook.example:{product.port}/", allow_private=False)
    with pytest.raises(ChannelUnavailable, match=r"private network|link-local"):
        await channel.send(note())
    assert product.connections == 0


@pytest.mark.parametrize("address", ["169.254.169.254", "168.63.129.16", "fe80::1", "fd00:ec2::254"])
async def test_a_name_that_leads_to_metadata_is_never_followed(to, product, note, leads, address):
    leads([address])
    with pytest.raises(ChannelUnavailable, match="which is never allowed"):
        await to(f"https://hook.example:{product.port}/", allow_private=True).send(note())
    assert product.connections == 0


async def test_a_name_is_asked_for_once_and_the_address_it_led_to_is_the_one_connected_to(
    to, product, note, leads, monkeypatch
):
    asked = leads(["93.184.216.34", "127.0.0.1"], ["127.0.0.1"])
    channel = to(f"https://hook.example:{product.port}/", allow_private=False)
    connected = []

    async def connect(host, port, *_):
        connected.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr(channel._posts.guard._network, "connect_tcp", connect)
    with pytest.raises(ChannelUnavailable):
        await channel.send(note())
    assert (asked, connected, product.connections) == (["hook.example"], ["93.184.216.34"], 0)


async def test_a_second_address_is_tried_when_the_first_takes_no_connection(to, product, note, leads):
    leads(["127.0.0.9", "127.0.0.1"])
    outcome = await to(f"http://localhost:{product.port}/").send(note())
    assert outcome.verdict is Verdict.ACCEPTED


async def test_localhost_that_leads_elsewhere_gets_nothing_in_the_clear(to, note, leads):
    leads(["93.184.216.34"])
    with pytest.raises(ChannelUnavailable, match="private network"):
        await to("http://localhost/").send(note())


@pytest.fixture
async def deaf():
    """A server that accepts no connection: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
        for one in waiting:
            one.close()


@pytest.mark.parametrize("early", ["limit", "stop"])
async def test_what_ends_before_there_is_a_connection_is_deferred(to, note, deaf, early):
    channel = to(f"http://127.0.0.1:{deaf}/", attempt_seconds=0.2 if early == "limit" else 5)
    sending = asyncio.create_task(channel.send(note()))
    await asyncio.sleep(0.05)
    if early == "stop":
        channel.cancel_sends([sending])
    outcome = await asyncio.wait_for(sending, 1)
    assert (outcome.verdict, outcome.phase) == (Verdict.DEFERRED, Phase.CONNECT)


async def test_what_is_posted_is_waited_for_a_little_when_it_is_to_stop(channel, product, note, monkeypatch):
    monkeypatch.setattr("waypost.channels.send_gate.LAST_WORD_SECONDS", 0.1)
    product.says = say_nothing
    sending = asyncio.create_task(channel.send(note()))
    while not product.posts:
        await asyncio.sleep(0.01)
    channel.cancel_sends([sending])
    outcome = await asyncio.wait_for(sending, 1)
    assert (outcome.verdict, outcome.words) == (Verdict.UNKNOWN, "stopped while it waited for the reply")


async def test_what_was_called_off_while_it_connected_is_never_posted(channel, product, note):
    await channel.send(note())
    sending = asyncio.create_task(channel.send(note()))
    await asyncio.sleep(0)  # it is under way, over the connection that is open
    channel.cancel_sends([sending])
    outcome = await sending
    assert (outcome.verdict, outcome.words) == (Verdict.DEFERRED, "stopped")
    assert len(product.posts) == 1


@pytest.mark.parametrize("stopped", [True, False])
async def test_what_is_called_off_the_moment_it_is_connected_is_never_posted(
    channel, product, note, monkeypatch, stopped
):
    network = channel._posts.guard._network
    connect = network.connect_tcp

    async def connect_and_stop(*where):
        connected = await connect(*where)
        if stopped:
            channel.cancel_sends([sending])
        else:
            assert channel._under_way[sending].cancel()
        return connected

    monkeypatch.setattr(network, "connect_tcp", connect_and_stop)
    sending = asyncio.create_task(channel.send(note()))
    assert (await sending).verdict is Verdict.DEFERRED
    await asyncio.sleep(0.05)
    assert product.posts == []


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(channel, product, note):
    async def once(writer):
        writer.write(OK)
        writer.close()

    product.says = once
    outcomes = []
    for _ in range(3):
        outcomes.append((await channel.send(note())).verdict)
        await asyncio.sleep(0.02)
    assert (outcomes, product.connections) == ([Verdict.ACCEPTED] * 3, 3)


async def test_no_secret_address_or_message_is_logged(channel, product, note, caplog):
    caplog.set_level(logging.DEBUG)
    for says in (OK, answer(400, b"hunter2 tok3n 123456"), hang_up):
        product.says = says
        outcome = await channel.send(note("your code is 123456"))
        assert not [word for word in ("hunter2", "tok3n", "123456") if word in caplog.text + str(outcome)]
    assert SECRET.decode() not in caplog.text + repr(vars(channel))


async def test_a_message_past_its_deadline_is_not_posted(channel, product, note):
    message = note()
    late = replace(message.notification, expires_at=datetime.now(UTC))
    assert (await channel.send(replace(message, notification=late))).verdict is Verdict.DEFERRED
    assert product.connections == 0


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"secrets": []}, "at least one secret"),
        ({"secrets": [b"hunter2"]}, "24 to 64 bytes"),
        ({"secrets": [b"k" * 65]}, "24 to 64 bytes"),
        ({"kind": "email"}, "not mail"),
        ({"allow_private": False}, "private network"),
    ],
)
async def test_terms_that_cannot_be_are_refused(to, terms, words):
    with pytest.raises(ValueError, match=words) as refused:
        to("https://127.0.0.1/hunter2", **terms)
    assert "hunter2" not in str(refused.value)
