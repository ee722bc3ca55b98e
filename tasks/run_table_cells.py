"""Texts of a run for the Prefect UI, which renders them as markdown."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import UUID

from prefect.settings import get_current_settings

from waypost.ledger.database.tolerant import Moment
from waypost.tasks.markdown import as_code


def moment(at: Moment | None) -> str:
    """A moment, without its zone; empty without one, and a damaged moment as it stands."""
    return as_code(at) if isinstance(at, str) else f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def run_url(run: UUID) -> str:
    """Where the Prefect UI shows a run; the run's id if the UI's address is unknown."""
    ui = get_current_settings().ui_url
    return f"{ui.rstrip('/')}/runs/flow-run/{run}" if ui else f"run {run}"


def run_links(runs: Sequence[UUID]) -> str:
    """Links to runs, for a reader of the same UI."""
    return ", ".join(run_link(run, f"run {run.hex[-6:]}") for run in runs)


def run_link(run: UUID, text: str) -> str:
    """A link to a run, for a reader of the same UI."""
    return f"[{text}]({in_ui(f'/runs/flow-run/{run}')})"


def in_ui(page: str) -> str:
    """The address of a page without the UI's host, which may have another name for each reader."""
    return urlsplit(get_current_settings().ui_url or "").path.rstrip("/") + page
