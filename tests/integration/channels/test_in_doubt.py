"""Once an attempt ended UNKNOWN, no other provider is ever tried, whatever happens next."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.flow_steps import run
from support.ledger import NOTE, accepted, ask, attempt_rows, change, rows

from waypost import Category, Priority, Recipient
from waypost.channels.memory import MemoryChannel
from waypost.ledger.intake.accept import accept
from waypost.ledger.operations.retry_cancel import retry
from waypost.ledger.operations.search import Filter
from waypost.ledger.records import suppressions
from waypost.model.outcome import Phase
from waypost.model.provider import Provider
from waypost.model.suppression import Suppression
from waypost.policy import classify
from waypost.system.clock import now

pytestmark = pytest.mark.anyio


def lost(_):
    return classify.lost(Phase.DOT, "connection lost")


def saying(code, text):
    return lambda _: classify.smtp(code, text, Phase.RCPT)


REFUSES = saying(550, "5.1.1 no such user")
DEFERS = saying(451, "4.7.1 later")


@pytest.fixture
async def pair(ledger, runtime_of):
    """Two providers, and a note that the first may have delivered."""
    first, second = MemoryChannel("first", answer=lost), MemoryChannel("second")
    await accepted(ledger)
    await run(runtime_of(first, second))
    assert [one.verdict for one in await attempt_rows(ledger)] == ["unknown"]
    await change(ledger, due_at=now())
    return first, second


async def tried(ledger):
    return [one.provider for one in await attempt_rows(ledger)]


@pytest.mark.parametrize(
    ("answer", "left"),
    [(REFUSES, 3600), (DEFERS, 3600), (DEFERS, 5), (lost, 3600), (lost, 5)],
    ids=["refused", "deferred", "deferred to the deadline", "unknown", "unknown at the deadline"],
)
async def test_whatever_its_provider_answers_next(ledger, pair, answer, left, runtime_of):
    first, second = pair
    first.answer = answer
    await change(ledger, expires_at=now() + timedelta(seconds=left))
    [delivery] = await run(runtime_of(first, second))
    assert (await tried(ledger), second.sent, delivery.refused) == (["first", "first"], [], False)


@pytest.mark.parametrize("turned", [{}, {"first": 1, "second": 1000}], ids=["order", "weights"])
async def test_whatever_becomes_of_order_and_weights(ledger, pair, turned, runtime_of):
    first, second = pair
    first.answer = REFUSES
    terms = {name: Provider(url="smtp://h", weight=weight) for name, weight in turned.items()}
    await run(runtime_of(second, first, **terms))
    assert (await tried(ledger), second.sent) == (["first", "first"], [])


@pytest.mark.parametrize("left", [3600, 5])
async def test_while_its_circuit_is_open(ledger, pair, left, runtime_of):
    first, second = pair
    await change(ledger, expires_at=now() + timedelta(seconds=left))
    runtime = runtime_of(first, second)
    for _ in range(3):
        runtime.providers.state("first").record_failure("connection refused")
    await run(runtime)
    assert (await tried(ledger), second.sent) == (["first"], [])


async def test_when_a_person_retries_it(ledger, pair, runtime_of):
    first, second = pair
    first.answer = REFUSES
    await run(runtime_of(first, second))
    await retry(ledger, Filter(), {NOTE.name: timedelta(hours=1)})
    await run(runtime_of(second, first))
    [row] = await rows(ledger)
    assert (await tried(ledger), second.sent) == (["first"] * 3, [])
    assert "an earlier attempt may have been delivered" in row.reason


BOTH = replace(NOTE, category=Category.PRODUCT, priority=Priority.NORMAL, route=("email", "sms"))


@pytest.mark.parametrize(
    ("answer", "step", "stopped", "why"),
    [
        (lost, 0, "ada@a.example", "mail may have delivered it, but email may not be used for its recipient"),
        (
            saying(554, "5.6.0 not this text"),
            1,
            "+15550100",
            "sms may not be used for its recipient any more, and the steps before were",
        ),
    ],
    ids=["the one that may have it", "the one that is left"],
)
async def test_when_its_channel_may_not_be_used_any_more_it_waits_and_says_so(
    ledger, runtime_of, answer, step, stopped, why
):
    mail, texts = MemoryChannel("mail", answer=answer), MemoryChannel("texts", kind="sms", answer=DEFERS)
    runtime = runtime_of(mail, texts)
    person = Recipient(id="ada", email="ada@a.example", phone="+15550100")
    await accept(ledger, BOTH, [ask(recipient=person)])
    await run(runtime, type=BOTH, allowed_as=BOTH)
    await suppressions.add(ledger, [Suppression(address=stopped)])
    await change(ledger, due_at=now())
    before = await tried(ledger)
    await run(runtime, type=BOTH, allowed_as=BOTH)
    [row] = await rows(ledger)
    assert (row.state, row.step, await tried(ledger)) == ("deferred", step, before)
    assert row.reason.startswith(why)


async def test_what_is_not_in_doubt_does_fall_back(ledger, runtime_of):
    first, second = MemoryChannel("first", answer=REFUSES), MemoryChannel("second")
    await accepted(ledger)
    await run(runtime_of(first, second))
    assert (await tried(ledger), len(second.sent)) == (["first", "second"], 1)
