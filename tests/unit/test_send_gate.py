"""A message is handed over or called off, never both."""

import asyncio
from threading import Barrier, Thread

import pytest

from waypost.channels import send_gate
from waypost.channels.send_gate import SendGate
from waypost.model.outcome import Outcome, Phase, Verdict

pytestmark = pytest.mark.anyio


def test_what_was_called_off_is_not_handed_over():
    one = SendGate()
    assert (one.cancel(), one.commit()) == (True, False)
    assert one.cut_off("late") == Outcome(Verdict.DEFERRED, Phase.CONNECT, words="late")


def test_what_was_handed_over_is_not_called_off():
    one = SendGate()
    assert (one.commit(), one.cancel()) == (True, False)
    assert one.cut_off("late") == Outcome(Verdict.UNKNOWN, Phase.DOT, words="late")


def test_a_thread_and_its_caller_never_both_get_their_way():
    for _ in range(200):
        one, both, answers = SendGate(), Barrier(2), []

        def ask(question, both=both, answers=answers):
            both.wait()
            answers.append(question())

        threads = [Thread(target=ask, args=[question]) for question in (one.commit, one.cancel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [False, True]


def test_an_answer_that_came_stands():
    one = SendGate()
    one.commit()
    one.outcome = Outcome(Verdict.REFUSED, Phase.DOT, 400)
    assert one.cut_off("late") is one.outcome


@pytest.mark.parametrize(("begun", "seconds"), [(False, 0.0), (True, send_gate.LAST_WORD_SECONDS)])
async def test_stopping_leaves_it_no_more_time_than_it_needs(begun, seconds):
    one = SendGate()
    async with asyncio.timeout(60) as one.limit:
        if begun:
            one.commit()
        one.stop()
        assert one.limit.when() - asyncio.get_running_loop().time() == pytest.approx(seconds, abs=0.5)
        one.limit.reschedule(None)


async def test_stopping_never_gives_it_longer():
    one = SendGate()
    async with asyncio.timeout(0.5) as one.limit:
        one.commit()
        before = one.limit.when()
        one.stop()
        assert one.limit.when() == before


def test_stopping_what_has_not_begun_its_attempt_is_nothing():
    SendGate().stop()
