"""The mail server away for two minutes: few runs, none of them green, and the dashboard says why."""

from __future__ import annotations

import time
from datetime import datetime

import httpx
import pytest
from chaos.installation import installation
from chaos.servers import Sink, free_port, mail_sink
from support.processes import eventually
from support.requests import order

pytestmark = pytest.mark.long
AWAY, A_SECOND = 120, 20
MOST_RUNS, TOLD_WITHIN, BACK_WITHIN = 20, 15.0, 240.0


def dashboard(site):
    """The dashboard's line, and its text."""
    wanted = {"artifacts": {"key": {"any_": ["outage"]}}}
    found = httpx.post(f"{site.prefect.api}/artifacts/filter", json=wanted, timeout=30).json()
    assert len(found) <= 1
    return (found[0]["description"], found[0]["data"]) if found else ("", "")


def seconds(run):
    ended, began = (datetime.fromisoformat(run[name]) for name in ("end_time", "start_time"))
    return (ended - began).total_seconds()


@pytest.mark.timeout(600)
def test_an_outage_of_the_mail_server_makes_few_runs_and_is_told_in_a_line(prefect, tmp_path):
    port = free_port()
    settings = {"WAYPOST_WORK_POOL": "outage"}
    with installation(tmp_path / "home", prefect, Sink(port, tmp_path / "none"), settings=settings) as site:
        site.worker().ready()
        eventually(lambda: dashboard(site)[0])
        began, told_after = time.monotonic(), None
        for second in range(AWAY):
            site.accept("order-confirmation", [order(f"away-{second}-{n}") for n in range(A_SECOND)])
            if told_after is None and "smtp does not work since" in dashboard(site)[0]:
                told_after = time.monotonic() - began
            time.sleep(max(0.0, began + second + 1 - time.monotonic()))
        runs = prefect.runs(name="order-confirmation", pool="outage")
        ended = [run for run in runs if run["state"]["type"] not in {"RUNNING", "PENDING", "SCHEDULED"}]
        line, text = dashboard(site)
        assert len(runs) <= MOST_RUNS
        assert {run["state"]["name"] for run in ended} <= {"Deferred", "PartlyFailed", "Failed"}
        assert max(map(seconds, ended)) < TOLD_WITHIN
        assert told_after is not None
        assert told_after < TOLD_WITHIN
        assert line.startswith("smtp does not work since ")
        assert f"127.0.0.1:{port} could not be reached" in text
        with mail_sink(tmp_path / "back", port=port) as sink:
            eventually(lambda: sink.to("raway-") > A_SECOND, BACK_WITHIN)
            eventually(lambda: "does not work" not in dashboard(site)[0], 60)
