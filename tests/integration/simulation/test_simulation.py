"""The loop under faults: nothing lost, nothing late, no duplicate without its UNKNOWN. And the simulator
itself: it replays, and it notices."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.processes import REPOSITORY, eventually

from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.deployments.dispatcher import reconciler
from waypost.deployments.dispatcher.dispatcher import Dispatcher
from waypost.deployments.simulation import virtual_time
from waypost.deployments.simulation.scenario import simulate
from waypost.deployments.simulation.world import prepare
from waypost.ledger.operations import retention
from waypost.ledger.queue import digests, holds, reaper, status, suspects
from waypost.ledger.queue.leases import Leases
from waypost.ledger.queue.reaper import Reaper
from waypost.ledger.queue.renewal_clock import Stillness
from waypost.model import priority
from waypost.model.notification import Notification
from waypost.model.outcome import Verdict
from waypost.model.states import State
from waypost.policy import retry
from waypost.policy.retry import Decision
from waypost.system import clock

SEEDS = 300


@pytest.fixture
def seed(tmp_path):
    """Simulates a seed here, so that what a test breaks is broken in it."""
    settings, templates = prepare(tmp_path)
    return lambda number: simulate(number, settings, templates)


@pytest.fixture
def noticed(seed, caplog):
    """Whether a seed finds something wrong in these words: the one that did so last, else some hundred."""
    caplog.set_level(logging.CRITICAL)

    def found(words, last, seeds=SEEDS):
        numbers = (last, *range(seeds))
        return any(words in line for number in numbers for line in wrong(seed(number)))

    return found


def wrong(one):
    return one.lost + one.unexplained + one.late + one.illegal


def waypost(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "waypost", "simulate", *arguments],
        env={**os.environ, **environment}, cwd=REPOSITORY, capture_output=True, text=True, timeout=170,
    )  # fmt: skip


@pytest.mark.parametrize("seeds", [60, pytest.param(SEEDS, marks=pytest.mark.long)])
def test_storms_lose_nothing_and_explain_every_duplicate(seeds):
    done = waypost("--seeds", str(seeds), "--json")
    found = json.loads(done.stdout)
    assert (found["seeds"], found["lost"], found["unexplained"], found["late"]) == (seeds, 0, 0, 0)
    assert found["bad"] == [], done.stderr
    assert done.returncode == 0
    assert found["kills"] > seeds
    assert found["unknown"] > found["duplicated"] > 0, "storms that double nothing prove nothing"


@pytest.mark.long
def test_killed_at_every_single_step_nothing_is_lost():
    done = waypost("--seed", "43", "--every-step", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (found["lost"], found["unexplained"], found["late"]) == (0, 0, 0)
    assert found["kills"] == found["seeds"] > 200, "a kill a step"


def test_killed_it_leaves_no_process_behind(tmp_path):
    command = [sys.executable, "-m", "waypost", "simulate", "--seeds", "100000", "--jobs", "2"]
    told = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=told, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        pool = eventually(lambda: len(found := children(started.pid)) >= 2 and found)
        eventually(lambda: len([*tmp_path.iterdir()]) >= 2)
        started.kill()
    eventually(lambda: not any(map(runs, pool)), 20)


def runs(pid):
    """Whether a process runs; one that has ended may wait for its parent as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid):
    """The ids of the processes that a process has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_seed_replays_exactly_whatever_else_is_different():
    one, other = (waypost("--seed", "17", PYTHONHASHSEED=seed).stdout for seed in ("1", "2"))
    assert one == other
    assert one.count("\n") > 100


@pytest.mark.long
def test_a_seed_that_fails_fails_again(seed, monkeypatch):
    monkeypatch.setattr(Notification, "expired", property(lambda _: False))
    first = next(one for number in range(SEEDS) if (one := seed(number)).late)
    assert first == seed(first.seed)


def test_sleeping_until_a_moment_ends_beside_somebody_who_never_rests():
    async def sleeps_until_just_after(moment):
        await asyncio.sleep(moment)
        time, looks = asyncio.get_running_loop().time, 0
        moment = time() + 5e-10  # less than a tick of the clock away
        restless = asyncio.create_task(never_rests())
        while (rest := moment - time()) > 0:
            looks += 1
            assert looks < 1000
            await asyncio.sleep(rest)
        restless.cancel()

    async def never_rests():
        while True:
            await asyncio.sleep(0)

    for moment in (0.0, 39.85700170199197, 1199.9):
        virtual_time.run(sleeps_until_just_after(moment))


@pytest.mark.long
def test_it_notices_a_doubt_that_nobody_wrote_down(noticed, monkeypatch):
    monkeypatch.setattr(reaper, "_close_attempts", lambda *_: set())
    assert noticed("times, 0 unknown", 2)


@pytest.mark.long
def test_it_notices_a_lease_that_is_never_let_go(noticed, monkeypatch):
    monkeypatch.setattr(Dispatcher, "_let_go", lambda *_: None)
    # Rare: the process that runs the batch must die, and another that dispatched it live.
    assert noticed("is stuck in", 56, seeds=5 * SEEDS)


@pytest.mark.long
def test_it_notices_a_lease_that_nobody_keeps(noticed, monkeypatch):
    monkeypatch.setattr(Leases, "hold", lambda *_: None)
    assert noticed("which lives", 16)


@pytest.mark.long
def test_it_notices_a_reaper_that_takes_from_the_living(noticed, monkeypatch):
    monkeypatch.setattr(Reaper, "_lapsed", lambda _, open_ones: list(open_ones))
    assert noticed("which lives", 0)


@pytest.mark.long
def test_it_notices_a_reaper_that_believes_a_clock_that_jumped(noticed, monkeypatch):
    by_the_clock = lambda _, open_ones: [one for one in open_ones if one.leased_until <= clock.now()]  # noqa: E731
    monkeypatch.setattr(Reaper, "_lapsed", by_the_clock)
    assert noticed("which lives", 105)


@pytest.mark.long
def test_it_notices_a_refusal_taken_for_a_success(noticed, monkeypatch):
    right = retry.after

    def after(outcome, **known):
        decision = right(outcome, **known)
        return Decision(State.SENT) if decision.state is State.FAILED else decision

    monkeypatch.setattr(retry, "after", after)
    assert noticed("no provider has it", 11)


@pytest.mark.long
def test_it_notices_a_doubt_that_falls_back(noticed, monkeypatch):
    right = retry.after

    def after(outcome, **known):
        decision = right(outcome, **known)
        in_doubt = outcome.verdict is Verdict.UNKNOWN
        return Decision(State.FAILED, decision.reason, falls_back=True) if in_doubt else decision

    monkeypatch.setattr(retry, "after", after)
    assert noticed("in the run that left it UNKNOWN", 9)


@pytest.mark.long
def test_it_notices_a_doubt_that_is_sent_again_and_again(noticed, monkeypatch):
    for module in (retry, reaper):
        monkeypatch.setattr(
            module, "doubtful", lambda said, _, __, due, ___: Decision(State.DEFERRED, said, due)
        )
    assert noticed("was sent again after", 2)


@pytest.mark.long
def test_it_notices_a_doubt_that_goes_where_its_step_leads_now(noticed, monkeypatch):
    async def nobody(*_):
        return {}

    monkeypatch.setattr(status, "providers_in_doubt", nobody)
    assert noticed("left it UNKNOWN", 10)


@pytest.mark.long
def test_it_notices_a_refusal_after_a_doubt_that_goes_over_another_provider(noticed, monkeypatch):
    right = retry.after
    monkeypatch.setattr(retry, "after", lambda outcome, **known: right(outcome, **{**known, "in_doubt": 0}))
    assert noticed("left it UNKNOWN", 455)


@pytest.mark.long
def test_it_notices_urgent_types_that_wait_for_prefect_to_return(noticed, monkeypatch):
    monkeypatch.setattr(Dispatcher, "_send_urgent_without_prefect", nothing)
    assert noticed("urgent, waited", 8)


@pytest.mark.long
def test_it_notices_lanes_that_are_the_wrong_way_round(noticed, monkeypatch):
    monkeypatch.setattr(priority, "_ORDER", priority._ORDER[::-1])
    assert noticed("went while urgent waited", 49, seeds=5 * SEEDS)  # few seeds have that many wait at once


@pytest.mark.long
def test_it_notices_places_that_are_neither_kept_nor_given_back_for_who_is_urgent(noticed, monkeypatch):
    monkeypatch.setattr(PrioritySemaphore, "_kept_from", lambda *_: 0)
    monkeypatch.setattr(PrioritySemaphore, "wanted", lambda *_, **__: False)
    assert noticed("went while urgent waited", 78, seeds=5 * SEEDS)  # few seeds have that many wait at once


@pytest.mark.long
def test_it_notices_a_hold_that_takes_nothing_back(noticed, monkeypatch):
    monkeypatch.setattr(holds, "release_claimed", lambda *_: 0)
    assert noticed("was held", 128)


@pytest.mark.long
def test_it_notices_an_item_that_its_digest_forgets(noticed, monkeypatch):
    row = digests._digest_row

    def forgetting(window, bundle, moment):
        items = bundle.items[: max(1, len(bundle.items) - 1)]
        return row(window, replace(bundle, items=items), moment)

    monkeypatch.setattr(digests, "_digest_row", forgetting)
    assert noticed("is in no delivered digest", 26)


@pytest.mark.long
def test_it_notices_a_retention_that_takes_what_just_ended(noticed, monkeypatch):
    prune = retention.prune
    monkeypatch.setattr(retention, "prune", lambda ledger, days: prune(ledger, days / 10))
    assert noticed("was deleted", 11)


@pytest.mark.long
def test_it_notices_runs_that_nobody_tells_prefect_of(noticed, monkeypatch):
    monkeypatch.setattr(reconciler, "_correct", nothing)
    assert noticed("for ever", 2)


@pytest.mark.long
def test_it_notices_a_reaper_that_counts_time_in_which_the_ledger_was_away(noticed, monkeypatch):
    look = Stillness.look

    def counting_all(self, leases, steady):
        self._longest = math.inf
        return look(self, leases, steady)

    monkeypatch.setattr(Stillness, "look", counting_all)
    monkeypatch.setattr(Stillness, "forget", nothing_at_all)
    assert noticed("which lives", 196, seeds=5 * SEEDS)


@pytest.mark.long
def test_it_notices_a_reaper_that_ends_batches_and_frees_nothing(noticed, monkeypatch):
    for module, name, answer in (
        (reaper, "free_claimed", []),
        (suspects, "died", []),
        (reaper, "_take_back", (0, 0)),
    ):
        monkeypatch.setattr(module, name, lambda *_, answer=answer: answer)
    assert noticed("is stuck in", 2)


def nothing_at_all(*_):
    """Instead of what is to be done at once."""


async def nothing(*_):
    """Instead of what is to be done."""
