"""The state in which a run ends, so that Prefect shows, filters and alerts by what became of its mail.

State types drive Prefect's automations, state names only what is shown. Failed is what a person must look at;
what will still be delivered is Completed, named Deferred. The ledger retries, not Prefect.
"""

from __future__ import annotations

import re

from prefect import State
from prefect.client.schemas.objects import StateType
from prefect.states import Completed, Failed

from waypost import Report
from waypost.model.report import IS_HELD, SOURCE_FAILED
from waypost.model.states import State as Where
from waypost.tasks.run_table_cells import run_url
from waypost.tasks.safe_error import SafeError

LOST = (Where.FAILED, Where.EXPIRED)
STILL_TO_GO = (Where.DEFERRED, Where.ACCEPTED, Where.CLAIMED, Where.SENDING)
LONGEST_MESSAGE = 1000  # characters; Prefect takes more, and shows a paragraph
RUNS_NAMED = 2  # runs before, in a message


class NotificationsFailed(SafeError):
    """Some notifications of a run failed or expired; the others are done. report: of all of them. A flow that
    is called as a function raises it."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type[NotificationsFailed], tuple[str, Report]]:
        return NotificationsFailed, (str(self), self.report)


def state_named_by(summary: str) -> tuple[StateType, str]:
    """The type and name of the state of a run whose report reads `summary`, such as "1 failed, 2 sent"."""
    counts = {state: int(count) for count, state in re.findall(r"(\d+) (\w+)", summary)}
    refused = int(found[1]) if (found := re.search(r"(\d+) not accepted", summary)) else 0
    states = {Where(state): count for state, count in counts.items() if state in set(Where)}
    return _named(states, refused, source_failed=SOURCE_FAILED in summary, held=summary.endswith(IS_HELD))


def _named(
    states: dict[Where, int], refused: int, *, source_failed: bool, held: bool
) -> tuple[StateType, str]:
    lost = refused + sum(states.get(state, 0) for state in LOST)
    if lost or source_failed:
        whole = lost == refused + sum(states.values())
        return StateType.FAILED, "Failed" if whole else "PartlyFailed"
    return StateType.COMPLETED, _waiting(states) or ("Held" if held else "Completed")


def _waiting(states: dict[Where, int]) -> str:
    """The name of the state of a run whose mail waits in part; else empty."""
    if states.get(Where.HELD):
        return "Held"
    return "Deferred" if any(map(states.get, STILL_TO_GO)) else ""


def run_state(report: Report) -> State[Report]:
    """The state, with a message: Completed ("36 sent"); Completed named Deferred, with the next try;
    Completed named Held, if a person decides about some, or the type is held; Failed named PartlyFailed if
    some failed or expired; Failed if all did, or if a retry leaves what failed."""
    message = message_of(report)
    kind, name = _ending(report)
    if report.wrong or any(map(report.left.get, LOST)):
        kind, name = StateType.FAILED, "Failed"
    elif kind is StateType.COMPLETED and not report.held:
        name = _waiting({**report.left, **report.states}) or name
    if kind is StateType.FAILED:
        return Failed(name=name, message=message, data=NotificationsFailed(message, report))
    return Completed(name=name, message=message, data=report)


def _ending(report: Report) -> tuple[StateType, str]:
    trouble = bool(report.trouble)
    return _named(report.states, report.refused, source_failed=trouble, held=report.held)


def _counts(report: Report) -> str:
    """What became of the notifications in numbers, and why a source was not read to its end."""
    counted = str(report).replace(SOURCE_FAILED, report.trouble or SOURCE_FAILED)
    return counted.replace(" failed", " failed again", 1) if _failed_again(report) else counted


def _failed_again(report: Report) -> bool:
    return report.only_failed and Where.FAILED in report.states


def message_of(report: Report) -> str:
    """What became of the run's notifications, why, and what to do."""
    if report.note and not (report.states or report.refused or report.trouble):
        return report.note[:LONGEST_MESSAGE]
    parts = [_counts(report)]
    if report.next_try:
        parts.append(f"next try {report.next_try:%Y-%m-%d %H:%M:%S} UTC")
    if report.states.get(Where.HELD):
        parts.append("a person decides: `waypost list --state held`")
    reasons = f": {'; '.join(report.reasons)}" if report.reasons else ""
    told = "; ".join(parts) + reasons
    if report.note:
        told += f"; {report.note}"
    if _failed_again(report):
        told += "; `waypost explain ID` shows the history of a notification"
    if report.before:
        more = f" and {len(report.before) - RUNS_NAMED} more" if len(report.before) > RUNS_NAMED else ""
        runs = ", ".join(map(run_url, report.before[:RUNS_NAMED]))
        told = f"{told[: LONGEST_MESSAGE // 2]}; tried before in {runs}{more}"
    return told[:LONGEST_MESSAGE]
