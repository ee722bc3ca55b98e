"""Attempts that repeat are one line of a timeline."""

from datetime import UTC, datetime, timedelta

from waypost.ledger.operations.explanation import TimelineEntry
from waypost.ledger.operations.timeline_folding import folded
from waypost.system.ids import new_id

BEGAN = datetime(2026, 3, 25, 14, tzinfo=UTC)


def attempt(number, at, answer):
    """The lines of a deferred attempt, `at` seconds after the beginning."""
    moment, run = BEGAN + timedelta(seconds=at), new_id()
    return [
        TimelineEntry(moment, "claimed", "in a batch of 1", run=run),
        TimelineEntry(moment, "started by its run", "by host:1", run=run),
        TimelineEntry(moment, f"attempt {number} started", "email through smtp", run=run),
        TimelineEntry(moment, f"attempt {number} deferred", answer, run=run),
    ]


def told(lines):
    return [(line.what, line.detail) for line in folded(lines)]


def test_attempts_with_one_answer_are_one_line_that_says_how_often_and_when_the_last_was():
    lines = [TimelineEntry(BEGAN, "accepted")]
    lines += attempt(1, 0, "550 odd")
    for n in range(2, 34):
        lines += attempt(n, 65 * n, f"451 4.7.1 try again in {n} seconds (at rcpt)")
    lines.append(TimelineEntry(None, "due again"))
    found = folded(lines)
    assert [line.what for line in found[-2:]] == ["attempts 2 to 33 deferred", "due again"]
    assert found[-2].detail == (
        "451 4.7.1 try again in 33 seconds (at rcpt); every 65 s; the last at 2026-03-25 14:35:45"
    )
    assert found[-2].run == lines[-2].run
    assert len(found) == 1 + 4 + 2


def test_growing_waits_are_told_from_the_shortest_to_the_longest():
    lines = [line for n, at in enumerate([0, 30, 90, 3690, 7290], 1) for line in attempt(n, at, "451 later")]
    assert told(lines)[0][1].startswith("451 later; after 30 s to 60 min; ")


def test_another_answer_or_another_event_between_them_is_not_folded():
    two = [*attempt(1, 0, "451 4.7.1 later"), *attempt(2, 60, "451 4.7.1 later")]
    assert folded(two) == two
    other = [*two, *attempt(3, 120, "452 4.2.2 full")]
    assert folded(other) == other
    person = [*two, TimelineEntry(BEGAN, "retried", "by a person"), *attempt(3, 120, "451 4.7.1 later")]
    assert folded(person) == person
