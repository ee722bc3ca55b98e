"""The loop under faults: nothing lost, nothing late, no duplicate without its UNKNOWN. And the simulator
itself: it replays, and it notices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from processes import REPOSITORY

from deployments.dispatcher import Dispatcher
from deployments.simulation import campaign
from deployments.simulation.scenario import simulate
from deployments.simulation.worker import prepare
from waypost import policy
from waypost.ledger import reaper
from waypost.notification import Notification
from waypost.policy import Decision
from waypost.states import State

SEEDS = 300


@pytest.fixture
def seeds(tmp_path):
    """Simulates seeds here, so that what a test breaks is broken in them."""
    settings, templates = prepare(tmp_path)
    return lambda many: [simulate(seed, settings, templates) for seed in many]


def waypost(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "waypost", "simulate", *arguments],
        env={**os.environ, **environment}, cwd=REPOSITORY, capture_output=True, text=True, timeout=170,
    )  # fmt: skip


def test_hundreds_of_storms_lose_nothing_and_explain_every_duplicate():
    done = waypost("--seeds", str(SEEDS), "--json")
    found = json.loads(done.stdout)
    assert (found["seeds"], found["lost"], found["unexplained"], found["late"]) == (SEEDS, 0, 0, 0)
    assert found["bad"] == [], done.stderr
    assert done.returncode == 0
    assert found["kills"] > SEEDS
    assert found["unknown"] > found["duplicated"] > 0, "storms that double nothing prove nothing"


def test_killed_at_every_single_step_nothing_is_lost():
    done = waypost("--seed", "5", "--every-step", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (found["lost"], found["unexplained"], found["late"]) == (0, 0, 0)
    assert found["kills"] == found["seeds"] > 200, "a kill a step"


def test_a_seed_replays_exactly_whatever_else_is_different():
    one, other = (waypost("--seed", "17", PYTHONHASHSEED=seed).stdout for seed in ("1", "2"))
    assert one == other
    assert one.count("\n") > 100


def test_a_failing_seed_is_named_with_how_to_replay_it(seeds, monkeypatch):
    monkeypatch.setattr(Notification, "expired", property(lambda _: False))
    totals = campaign.Totals()
    for verdict in seeds(range(40)):
        totals.add(verdict)
    assert totals.late > 0
    [first, *_] = totals.bad
    assert replace(first, trace=[]) == replace(seeds([first.seed])[0], trace=[])


def test_it_notices_a_doubt_that_nobody_wrote_down(seeds, monkeypatch):
    monkeypatch.setattr(reaper, "_open_attempts", lambda _, rows, __: ([], [row.id for row in rows]))
    assert sum(len(verdict.unexplained) for verdict in seeds(range(50))) > 0


def test_it_notices_a_lease_that_is_never_let_go(seeds, monkeypatch):
    monkeypatch.setattr(Dispatcher, "_let_go", lambda *_: None)
    assert sum(len(verdict.lost) for verdict in seeds(range(25))) > 0


def test_it_notices_a_refusal_taken_for_a_success(seeds, monkeypatch):
    right = policy.after

    def wrong(outcome, **known):
        decision = right(outcome, **known)
        return Decision(State.SENT) if decision.state is State.FAILED else decision

    monkeypatch.setattr(policy, "after", wrong)
    assert sum(len(verdict.lost) for verdict in seeds(range(25))) > 0
