"""What a provider says of one client's mail delays the mail of no other client."""

import re

import pytest
from support.flow_steps import run
from support.ledger import NOTE, ask, change, rows

from waypost import Recipient
from waypost.channels.memory import MemoryChannel
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.model.outcome import Phase
from waypost.policy import classify
from waypost.policy.circuit_breaker import WINDOW, CircuitState
from waypost.system.clock import now

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


async def asked(ledger, client, *addresses):
    """Accept a note of `client` to each address."""
    people = [Recipient(id=address, email=address) for address in addresses]
    await accept_all(ledger, [Candidate(NOTE, ask(recipient=one), client=client) for one in people])


async def states(ledger, client):
    return [row.state for row in await rows(ledger) if row.client == client]


async def words_of_the_recipient(session):
    """Refuse recipients whose name holds a word about us, as Postfix's check_recipient_access does."""
    address = re.search("<(.*)>", session.house.heard[-1])[1]
    if "@x.example" not in address:
        return None
    await session.push(f"554 5.7.1 <{address}>: Recipient address rejected: Access denied")
    return "said"


async def spam(session):
    """Refuse the content of mail to x.example, and take other mail."""
    to_alpha = session.envelope.rcpt_tos[0].endswith("@x.example")
    return "554 5.7.1 Spam message rejected" if to_alpha else "250 2.0.0 taken"


@pytest.mark.parametrize("word", ["ehlo", "helo", "spf", "dmarc", "dkim-reports", "spamhaus", "rbl", "dnsbl"])
async def test_recipients_whose_names_are_words_about_us(ledger, bent, smtp, word, runtime_of):
    provider = await smtp(bent(RCPT=words_of_the_recipient))
    runtime = runtime_of(provider)
    await asked(ledger, "alpha", *(f"{word}.{number}@x.example" for number in range(6)))
    await run(runtime)
    assert await states(ledger, "alpha") == ["failed"] * 6
    assert runtime.providers.state("smtp").breaker.state is CircuitState.CLOSED
    await asked(ledger, "beta", "ok@y.example")
    await run(runtime)
    assert await states(ledger, "beta") == ["sent"]


async def test_mail_that_is_refused_for_its_content_stops_the_clients_own_mail_and_no_other(
    ledger, bent, smtp, runtime_of
):
    runtime = runtime_of(await smtp(bent(DOT=spam), "?connections=1"))
    await asked(ledger, "alpha", *(f"spam.{number}@x.example" for number in range(60)))
    await asked(ledger, "beta", "ok@y.example")
    await run(runtime)
    provider = runtime.providers.state("smtp")
    assert await states(ledger, "beta") == ["sent"]
    assert sorted(await states(ledger, "alpha")) == ["deferred"] * (60 - WINDOW) + ["failed"] * WINDOW
    assert (provider.is_open(), provider.is_open("alpha"), provider.is_open("beta")) == (False, True, False)
    assert "for the mail of client alpha is open" in provider.describe("alpha")


async def test_retries_of_the_refused_client_never_delay_another(ledger, bent, smtp, runtime_of):
    runtime = runtime_of(await smtp(bent(DOT=spam), "?connections=1"))
    await asked(ledger, "alpha", *(f"spam.{number}@x.example" for number in range(60)))
    await run(runtime)
    for turn in range(3):
        runtime.providers.state("smtp").of_clients["alpha"].until = 0.0
        await change(ledger, due_at=now())
        await run(runtime)
        assert (await states(ledger, "alpha")).count("failed") == WINDOW + turn + 1, "one probes"
        await asked(ledger, "beta", f"ok{turn}@y.example")
        await run(runtime)
        assert await states(ledger, "beta") == ["sent"] * (turn + 1)


async def test_a_provider_that_refuses_us_is_left_alone_though_only_one_client_sends(ledger, runtime_of):
    refusal = classify.smtp(554, "5.7.1 Relay access denied", Phase.RCPT)
    first, second = MemoryChannel("first", answer=lambda _: refusal, permits=1), MemoryChannel("second")
    runtime = runtime_of(first, second)
    await asked(ledger, "alpha", *(f"r{number}@y.example" for number in range(6)))
    await run(runtime)
    provider = runtime.providers.state("first")
    assert (await states(ledger, "alpha"), provider.is_open("alpha")) == (["sent"] * 6, True)
    assert not provider.is_open()
    await asked(ledger, "beta", "b@y.example")
    await run(runtime)
    assert await states(ledger, "beta") == ["sent"]
    assert provider.is_open(), "another client is refused too: it is the provider"
