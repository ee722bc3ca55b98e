"""The artifact `<type>-failures`: what was not delivered, until a person has dealt with it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from waypost.deployments.dashboard.troubles import EACH
from waypost.ledger.operations.overview import Failure
from waypost.ledger.operations.short_ids import short
from waypost.model.states import State
from waypost.system.moments import in_utc
from waypost.tasks.markdown import as_code
from waypost.tasks.run_table import without_verdict
from waypost.tasks.run_table_cells import run_link

SHOWN_FOR = timedelta(days=7)  # then a failure leaves the artifact; the ledger keeps it


def recent(failures: Sequence[Failure], now: datetime) -> list[Failure]:
    """The failures that are still shown."""
    return [one for one in failures if one.at is None or one.at > now - SHOWN_FOR]


def table(failures: Sequence[Failure], now: datetime) -> list[dict[str, str]]:
    """A row for each failure, the newest first."""
    return [
        {
            "State": one.state,
            "When": _when(one, now),
            "Recipient": as_code(one.recipient),
            "Notification": short(one.id),
            "Attempts": str(one.tries),
            "Provider": one.provider,
            "Detail": as_code(without_verdict(one.reason)),
            "Full id": str(one.id),
        }
        for one in failures
    ]


def _when(one: Failure, now: datetime) -> str:
    at = in_utc(one.at, now) if one.at else "waits"
    return run_link(one.flow_run_id, at) if one.flow_run_id else at


def description(type: str, failures: Sequence[Failure]) -> str:
    """What the table lists, and what to do."""
    held = sum(one.state == State.HELD for one in failures)
    parts = [f"{_count(len(failures) - held)} not delivered"] if len(failures) > held else []
    parts += [f"{_count(held)} held for a person"] if held else []
    return (
        f"**{type}**: {', '.join(parts)}, the newest first.\n\n"
        f"`waypost explain ID` tells the history of a notification; `waypost retry ID` sends it again. "
        f"A notification leaves this table when it is retried, or after {SHOWN_FOR.days} days."
    )


def _count(shown: int) -> str:
    return f"the last {EACH}" if shown == EACH else str(shown)
