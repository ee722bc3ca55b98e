"""Texts of a run for the Prefect UI."""

from datetime import UTC, datetime

import pytest
from prefect.settings import PREFECT_UI_URL, temporary_settings

from waypost.ledger.operations.search import Entry
from waypost.model.states import State
from waypost.system.ids import new_id
from waypost.tasks.run_table import rows_of_entries
from waypost.tasks.run_table_cells import in_ui, moment, run_link


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (datetime(2026, 3, 2, 8, 0, 5, tzinfo=UTC), "2026-03-02 08:00:05"),
        (None, ""),
        ("soon [x](http://evil.example)", "`soon [x](http://evil.example)`"),
    ],
)
def test_a_damaged_moment_is_shown_as_it_stands(at, shown):
    entry = Entry(new_id(), "note", State.DEFERRED, "ada", 1, "smtp", None, at, None, "451 later", 0)
    assert moment(at) == shown
    assert rows_of_entries([entry])[0]["Next try (UTC)"] == shown


def test_links_are_below_the_uis_own_path():
    run = new_id()
    with temporary_settings({PREFECT_UI_URL: "https://ops.example/prefect/"}):
        assert in_ui("/artifacts/key/waypost") == "/prefect/artifacts/key/waypost"
        assert run_link(run, "08:00") == f"[08:00](/prefect/runs/flow-run/{run})"
    with temporary_settings({PREFECT_UI_URL: "http://127.0.0.1:4200"}):
        assert run_link(run, "08:00") == f"[08:00](/runs/flow-run/{run})"
