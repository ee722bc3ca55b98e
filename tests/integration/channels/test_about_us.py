"""A refusal about us ends no notification: another provider takes it, or it waits."""

import re
from datetime import timedelta

import pytest
from support.channel_send import offer
from support.flow_steps import run
from support.ledger import accepted, attempt_rows, change, rows

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.memory import MemoryChannel
from waypost.channels.smtp.channel import SmtpChannel
from waypost.channels.smtp.url import parse
from waypost.deployments.doctor.channel import channel_finding
from waypost.model.outcome import Phase, Verdict
from waypost.policy import blame, classify
from waypost.policy.circuit_breaker import CircuitState
from waypost.system.clock import now

pytestmark = pytest.mark.anyio
HELO_REFUSED = "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"


def refusing_us(_):
    return classify.smtp(554, "5.7.1 <ada@a.example>: Relay access denied", Phase.RCPT)


def unknown(_):
    return classify.smtp(550, "5.1.1 no such user", Phase.RCPT)


async def states(ledger):
    return [row.state for row in await rows(ledger)]


async def test_all_go_over_another_provider_at_once(ledger, runtime_of):
    first, second = MemoryChannel("first", answer=refusing_us), MemoryChannel("second")
    await accepted(ledger, 6)
    runtime = runtime_of(first, second)
    await run(runtime)
    assert (await states(ledger), len(second.sent)) == (["sent"] * 6, 6)
    assert runtime.providers.state("first").breaker.state is CircuitState.OPEN


async def test_without_another_provider_of_its_kind_they_wait_with_the_providers_words(ledger, runtime_of):
    only = MemoryChannel("only", answer=refusing_us)
    await accepted(ledger, 6)
    runtime = runtime_of(only, MemoryChannel("texts", kind="sms"))
    await run(runtime)
    found = await rows(ledger)
    assert [row.state for row in found] == ["deferred"] * 6
    assert all("Relay access denied" in row.reason for row in found)
    assert runtime.providers.state("only").breaker.state is CircuitState.OPEN


async def test_once_the_first_provider_takes_mail_again_it_gets_what_waited(ledger, runtime_of):
    first, second = MemoryChannel("first", answer=refusing_us), MemoryChannel("second", answer=refusing_us)
    await accepted(ledger)
    await run(runtime_of(first, second))
    assert await states(ledger) == ["deferred"]
    first.answer = MemoryChannel().answer
    await change(ledger, due_at=now())
    await run(runtime_of(first, second))
    assert (await states(ledger), len(first.sent)) == (["sent"], 1)


async def test_a_provider_that_refused_the_recipient_is_not_asked_again_because_the_next_refused_us(
    ledger, runtime_of
):
    first, second = MemoryChannel("first", answer=unknown), MemoryChannel("second", answer=refusing_us)
    await accepted(ledger)
    runtime = runtime_of(first, second)
    await run(runtime)
    second.answer = MemoryChannel().answer
    await change(ledger, due_at=now())
    await run(runtime)
    tried = [one.provider for one in await attempt_rows(ledger)]
    assert (await states(ledger), tried) == (["sent"], ["first", "second", "second"])


async def test_what_is_in_doubt_goes_to_no_other_provider_for_it(ledger, runtime_of):
    first, second = MemoryChannel("first", answer=refusing_us), MemoryChannel("second")
    await accepted(ledger)
    first.answer = lambda _: classify.lost(Phase.DOT, "connection lost")
    runtime = runtime_of(first, second)
    await run(runtime)
    first.answer = refusing_us
    await change(ledger, due_at=now())
    await run(runtime)
    assert (await states(ledger), second.sent) == (["deferred"], [])


async def test_with_no_time_left_before_the_deadline_it_fails_with_the_providers_words(ledger, runtime_of):
    await accepted(ledger)
    await change(ledger, expires_at=now() + timedelta(seconds=5))
    [delivery] = await run(runtime_of(MemoryChannel("only", answer=refusing_us)))
    assert delivery.state == "failed"
    assert re.search("no time left for a retry: .*Relay access denied", delivery.reason)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_real_server_that_refuses_our_name_when_it_hears_the_recipient(
    ledger, bent, smtp, runtime_of
):
    only = await smtp(bent(RCPT=HELO_REFUSED))
    await accepted(ledger, 6)
    await run(runtime_of(only))
    assert await states(ledger) == ["deferred"] * 6


@pytest.mark.parametrize(
    ("query", "sender", "said"),
    [
        ("", "no-reply@shop.example", "shop.example"),
        ("?helo=mail.shop.example", "no-reply@shop.example", "mail.shop.example"),
        ("?helo=[192.0.2.1]", "no-reply@shop.example", "[192.0.2.1]"),
        ("", "root@localhost", "[127.0.0.1]"),
        ("", "ops@intranet", "[127.0.0.1]"),
    ],
)
async def test_ehlo_says_the_senders_domain_or_what_the_url_names(
    bent, mail_server, write, query, sender, said
):
    async with mail_server.running():
        channel = SmtpChannel("smtp", parse(f"smtp://127.0.0.1:{mail_server.port}{query}"), sender)
        assert (await offer(channel, write())).verdict is Verdict.ACCEPTED
        await channel.close()
    assert mail_server.heard[0] == f"EHLO {said}"


async def test_a_name_refused_in_ehlo_is_named_with_what_to_do(bent, smtp):
    channel = await smtp(bent(EHLO="550 5.7.1 who are you", HELO="550 5.7.1 who are you"))
    with pytest.raises(ChannelUnavailable, match=r"refused the name shop.example in EHLO .*; set helo="):
        await channel.open()


async def test_doctor_says_the_name_and_sends_no_message(bent, smtp):
    server = bent()
    finding = await channel_finding(await smtp(server))
    assert (finding.ok, finding.found) == (True, "accepts messages; the EHLO name is shop.example")
    assert not [line for line in server.heard if line.startswith("DATA")]


@pytest.mark.parametrize(
    ("bends", "what"),
    [
        ({"RCPT": HELO_REFUSED}, blame.NAME),
        ({"MAIL": "553 5.1.8 sender domain does not exist"}, blame.SENDER),
        ({"MAIL": "530 5.7.0 Authentication required"}, blame.LOGIN),
        ({"RCPT": "554 5.7.1 Client host [192.0.2.1] blocked using zen.example"}, blame.ADDRESS),
    ],
)
async def test_doctor_says_what_of_ours_a_server_refuses(bent, smtp, bends, what):
    finding = await channel_finding(await smtp(bent(**bends)))
    assert not finding.ok
    assert finding.found.startswith(f"refuses {what}: ")
    assert finding.advice


@pytest.mark.parametrize("reply", ["550 5.1.1 no such user", "450 4.2.0 greylisted"])
async def test_doctor_takes_an_answer_about_the_recipient_for_no_fault(bent, smtp, reply):
    assert (await channel_finding(await smtp(bent(RCPT=reply)))).ok
