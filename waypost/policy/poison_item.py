"""Finds the notification that makes its runs end early: pure decisions.

A run that ends before it reached some of its notifications raises the suspicion of all of these. They go out
again in smaller batches, until the guilty notification is alone. It fails only because of runs that failed
while their process lived: a process that dies also ends the innocent batches of its other runs.
"""

from __future__ import annotations

from datetime import timedelta

ALONE = 16  # from this suspicion on, a notification is alone in its batch, whatever its type's batch size
FAILURES = 3  # runs that failed with the notification alone, until it fails
SUSPECT = 3  # two lost runs in a row are bad luck: a deploy, a kill

_AFTER_DEATH = 5.0  # seconds, doubled with each
_LONGEST_AFTER_DEATH = 600.0
_AFTER_SHARED_FAILURE = 1.0  # seconds: other work goes first
_AFTER_FAILURE_ALONE = 30.0  # seconds, four times as long after each


def together(suspicion: int, most: int) -> int:
    """How many notifications of this suspicion go into a batch that holds `most` without suspicion."""
    return max(1, most >> suspicion)


def after_a_death(suspicion: int) -> int:
    """The suspicion of a notification that its run had not reached when the process died."""
    return max(suspicion, min(suspicion + 1, ALONE))


def after_a_failure(suspicion: int, size: int, most: int) -> int:
    """The suspicion of a notification that its run had not reached when the run failed.

    size: the size of its batch; the next batch has half of that at most. most: the type's batch size.
    """
    if size == 1:
        return max(suspicion, ALONE) + 1
    suspicion += 1
    while together(suspicion, most) > size // 2:
        suspicion += 1
    return min(suspicion, ALONE)


def failures_alone(suspicion: int) -> int:
    """How many runs failed with the notification alone in them."""
    return max(0, suspicion - ALONE)


def guilty(suspicion: int) -> bool:
    """Whether the notification fails."""
    return failures_alone(suspicion) >= FAILURES


def pause_after_a_death(suspicion: int, jitter: float) -> timedelta:
    """How long the notification waits. Not at all after the first death: nearly all are kills and deploys.

    jitter: in [0, 1), one per batch; it makes the pause up to twice as long, so that a guilty batch and
    innocent ones that died with it come back at different times.
    """
    seconds = _AFTER_DEATH * (2 ** (min(suspicion, ALONE) - 1) - 1)
    return timedelta(seconds=min(seconds, _LONGEST_AFTER_DEATH) * (1 + jitter))


def pause_after_a_failure(suspicion: int) -> timedelta:
    """How long the notification waits. Not for a guilty notification, which fails instead."""
    alone = failures_alone(suspicion)
    return timedelta(seconds=_AFTER_FAILURE_ALONE * 4 ** (alone - 1) if alone else _AFTER_SHARED_FAILURE)
