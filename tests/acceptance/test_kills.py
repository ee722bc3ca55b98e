"""Workers are killed while they send."""

from __future__ import annotations

import json
import time

import pytest
from chaos.installation import installation
from chaos.servers import mail_sink
from support.processes import eventually
from support.requests import alert, order

pytestmark = pytest.mark.long
WITHIN = 60.0  # seconds until a dead worker's batches are reclaimed


def test_a_dead_workers_work_is_back_within_a_minute_once_and_prefect_shows_the_run_as_crashed(
    prefect, cluster, tmp_path
):
    with (
        mail_sink(tmp_path, seconds=1.0) as sink,
        installation(tmp_path / "home", prefect, sink, cluster.database(), connections=4) as site,
    ):
        dying = site.worker().ready()
        others = [site.spare(), site.spare()]
        site.accept("order-confirmation", [order(f"dead-{n}") for n in range(20)])
        eventually(lambda: sink.to("rdead-") >= 4)
        [(run,)] = site.query("SELECT flow_run_id FROM batches")
        for other in others:
            other.begin()
        dying.kill()
        killed_at = time.monotonic()
        states = site.until_ended(2 * WITHIN)
        assert time.monotonic() - killed_at < WITHIN
        books = site.books()
        assert states == {"sent": 20}
        assert (books.lost, books.unexplained) == (0, 0)
        assert books.doubtful <= 4
        assert eventually(lambda: prefect.run(run)["state"]["type"] == "CRASHED", 30)
        assert [row[0] for row in site.query("SELECT in_doubt FROM notifications WHERE in_doubt > 1")] == []


def test_a_worker_killed_while_a_retried_run_sends_loses_nothing_and_repeats_only_what_was_in_doubt(
    prefect, tmp_path
):
    settings = {"WAYPOST_LEASE_SECONDS": "5", "WAYPOST_WORK_POOL": "retried"}
    with (
        mail_sink(tmp_path, seconds=0.5) as sink,
        installation(tmp_path / "home", prefect, sink, settings=settings, connections=2) as site,
    ):
        sink.refuse(True)
        dying, other = site.worker().ready(), site.spare()
        site.accept("order-confirmation", [order(f"refused-{n}") for n in range(12)])
        site.accept("order-confirmation", [order(f"fine-{n}") for n in range(4)])
        assert site.until_ended() == {"failed": 12, "sent": 4}
        sink.refuse(False)
        [(run,)] = site.query(
            "SELECT flow_run_id FROM batches WHERE id IN (SELECT batch_id FROM notifications "
            "WHERE state = 'failed')"
        )
        assert eventually(lambda: prefect.run(run)["state"]["type"] == "FAILED", 30)
        prefect.set_state(run, "SCHEDULED")
        eventually(lambda: sink.to("rrefused") >= 2, 60)
        dying.kill()
        other.begin()
        assert site.until_ended(120) == {"sent": 16}
        books = site.books()
        assert (books.lost, books.unexplained) == (0, 0)
        assert books.doubtful <= 2
        assert sink.to("rfine") == 4
        assert eventually(lambda: prefect.run(run)["state"]["type"] == "CRASHED", 60)
        prefect.set_state(run, "SCHEDULED")
        assert eventually(lambda: "nothing to send again" in (prefect.run(run)["state"]["message"] or ""), 60)
        assert sink.to("rfine") == 4


@pytest.mark.parametrize("where", ["pending", "running"])
def test_requests_of_a_run_whose_worker_died_before_accepting_them_go_out_once(prefect, tmp_path, where):
    settings = {"WAYPOST_LEASE_SECONDS": "2", "WAYPOST_WORK_POOL": f"inline-{where}"}
    with (
        mail_sink(tmp_path) as sink,
        installation(tmp_path / "home", prefect, sink, settings=settings) as site,
    ):
        dying, other = site.spare(where), site.spare()
        dying.begin()
        run = prefect.ask_for("alert", [alert(to=f"inline-{n}") for n in range(3)])
        dying.process.wait(60)
        assert prefect.run(run)["state"]["type"] == "PENDING"
        assert site.states() == {}
        other.begin()
        eventually(lambda: sink.to("inline-") == 3, 60)
        assert site.until_ended() == {"sent": 3}
        assert eventually(lambda: prefect.run(run)["state"]["type"] == "COMPLETED", 30)
        assert site.books().twice == 0


def test_a_killed_worker_is_said_to_be_gone_and_what_it_held_to_be_in_nobodys_hands(prefect, tmp_path):
    settings = {"WAYPOST_LEASE_SECONDS": "5", "WAYPOST_WORK_POOL": "gone"}
    with (
        mail_sink(tmp_path, seconds=20) as sink,
        installation(tmp_path / "home", prefect, sink, settings=settings) as site,
    ):

        def told(*command):
            return json.loads(site.command(*command, "--json").stdout)

        def doctor(what):
            return {one["what"]: one for one in told("doctor")}.get(what)

        worker = site.worker().ready()
        site.accept("alert", [alert(to="gone")])
        eventually(lambda: "sending" in site.states())
        [one] = told("list")["notifications"]
        hands = told("explain", one["id"])["lease"]
        assert (hands["owner"].rpartition(":")[2], hands["lapsed"]) == (str(worker.process.pid), False)
        assert doctor("worker")["ok"]
        worker.kill()
        killed_at = time.monotonic()
        gone = eventually(lambda: None if (found := doctor("worker"))["ok"] else found)
        assert time.monotonic() - killed_at < 45
        assert f"-{worker.process.pid}, last seen" in gone["found"]
        silent = eventually(lambda: doctor("lost work"), 120)
        assert hands["owner"] in silent["found"]
        assert "1 more may be in doubt" in site.command("list", "--in-doubt").stderr

        def abandoned():
            return (found := doctor("lost work")) and not found["ok"] and found

        assert hands["owner"] in eventually(abandoned, 120)["found"]
        assert told("explain", one["id"])["lease"]["lapsed"]
        assert "a reaper in any worker reclaims it" in site.command("explain", one["id"]).stdout
