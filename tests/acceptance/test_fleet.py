"""Several processes share the work: each notification is sent by one of them, once."""

from __future__ import annotations

import httpx
import pytest
from chaos.installation import installation
from chaos.servers import mail_sink
from support.processes import eventually
from support.requests import alert, order

pytestmark = pytest.mark.long


def test_three_workers_on_one_ledger_send_2000_once_each(prefect, cluster, tmp_path):
    with (
        mail_sink(tmp_path) as sink,
        installation(tmp_path / "home", prefect, sink, cluster.database()) as site,
    ):
        workers = [site.worker() for _ in range(3)]
        for worker in workers:
            worker.ready()
        for part in range(20):
            site.accept("alert", [alert(to=f"f{part}-{n}") for n in range(100)])
        assert site.until_ended() == {"sent": 2000}
        assert sorted(sink.copies().values()) == [1] * 2000
        owners = site.query("SELECT DISTINCT owner FROM batches")
        assert len(owners) > 1, "more than one worker had a part in it"


def test_prefects_own_process_worker_sends_what_is_accepted_once(prefect, tmp_path):
    pool = {"name": "processes", "type": "process"}
    httpx.post(f"{prefect.api}/work_pools/", json=pool, timeout=30).raise_for_status()
    with (
        mail_sink(tmp_path) as sink,
        installation(tmp_path / "home", prefect, sink, settings={"WAYPOST_WORK_POOL": "processes"}) as site,
    ):
        assert site.command("deploy").returncode == 0
        site.start("chaos.dispatching").until("dispatching")
        site.start("prefect", "worker", "start", "--pool", "processes", "--type", "process")
        done = site.send("order-confirmation", [order(f"process-{n}") for n in range(10)])
        assert done.returncode == 0, done.stderr
        assert sorted(sink.copies().values()) == [1] * 10


def test_runs_cancelled_crashed_by_hand_or_late_go_out_once_or_wait_for_a_person(prefect, tmp_path):
    settings = {"WAYPOST_WORK_POOL": "nobody"}
    with (
        mail_sink(tmp_path) as sink,
        installation(tmp_path / "home", prefect, sink, settings=settings) as site,
    ):
        site.start("chaos.dispatching").until("dispatching")
        site.accept("order-confirmation", [order("cancelled")])
        cancelled = waiting_run(site, "order-confirmation")
        site.accept("alert", [alert(to="crashed")])
        crashed = waiting_run(site, "alert")
        prefect.set_state(cancelled, "CANCELLED")
        prefect.set_state(crashed, "CRASHED")
        assert eventually(lambda: waiting_run(site, "alert") != crashed, 30)
        assert eventually(lambda: site.states().get("held") == 1, 30)
        late = waiting_run(site, "alert")
        assert eventually(lambda: prefect.run(late)["state"]["name"] == "Late", 60)
        site.worker()
        assert site.until_ended() == {"held": 1, "sent": 1}
        [(held,)] = site.query("SELECT id FROM notifications WHERE state = 'held'")
        assert site.command("retry", held, "--yes").returncode == 0
        assert site.until_ended() == {"sent": 2}
        assert sorted(sink.copies().values()) == [1, 1]


def waiting_run(site, type):
    """The run that the type's open batch waits for."""
    asked = f"SELECT flow_run_id FROM batches WHERE type = '{type}' AND ended_at IS NULL AND flow_run_id > ''"
    rows = eventually(lambda: site.query(asked), 30)
    return rows[-1][0]
