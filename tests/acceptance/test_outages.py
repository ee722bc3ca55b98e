"""Outages of what Waypost depends on: PostgreSQL, Prefect, Prefect's database, the disk."""

from __future__ import annotations

import random
import resource
import time
from contextlib import contextmanager
from socket import socket

import pytest
from chaos import outages, restarts
from chaos.installation import installation
from chaos.servers import Sink, mail_sink, prefect_server
from support.processes import eventually
from support.requests import alert, order

from waypost.ledger.database.tables import attempts

pytestmark = pytest.mark.long
FULL = 4096  # the most bytes in a file: less than SQLite needs to write one page


def signup(to):
    return {
        "recipient": {"email": f"{to}@a.example"},
        "data": {"product": "Harbour", "verify_url": "https://app.example/verify"},
    }


@pytest.mark.timeout(300)
def test_postgresql_restarted_in_the_middle_of_1000_sends_loses_and_repeats_nothing(
    prefect, cluster, tmp_path, capsys
):
    database = cluster.database()
    with (
        mail_sink(tmp_path, 0.04) as sink,
        installation(tmp_path / "home", prefect, sink, database, connections=2) as site,
    ):
        totals = restarts.campaign(site, cluster, (6, 9), random.Random())
    with capsys.disabled():
        print(f"\n{totals}")
    restarts.check(totals)
    assert totals.restarts >= 2


@pytest.mark.timeout(300)
def test_postgresql_away_for_longer_than_a_lease_loses_and_repeats_nothing_of_two_workers(
    prefect, cluster, tmp_path, capsys
):
    plan = outages.Plan(messages=160, outages=2, outage=8.0, lease=5.0)
    with outages.installed(tmp_path, prefect, cluster, plan) as site:
        totals = outages.campaign(site, cluster, plan, random.Random())
    with capsys.disabled():
        print(f"\n{totals}")
    outages.check(totals)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A worker with a Prefect server that tests may stop."""
    folder = tmp_path_factory.mktemp("outages")
    with (
        prefect_server(folder) as server,
        mail_sink(folder) as sink,
        installation(folder / "home", server, sink) as site,
    ):
        site.worker().ready()
        yield site


def send(site, type, *requests):
    done = site.send(type, requests, "--no-wait")
    assert done.returncode == 0, done.stderr


def test_while_prefect_is_away_intake_goes_on_what_is_urgent_goes_out_and_the_rest_when_it_is_back(alone):
    sink, prefect = alone.sink, alone.prefect
    prefect.stop()
    gone_at = time.time()
    send(alone, "order-confirmation", order("away-1"), order("away-2"))
    send(alone, "signup-verification", signup("away-signup"))
    send(alone, "alert", alert(to="away-alert"))
    eventually(lambda: sink.to("away-") == 2, 40)
    assert 3 < min(at for at, to, _ in sink.notes() if to.startswith("away-")) - gone_at < 30
    assert sink.to("raway-") == 0, "what is not urgent waits for Prefect"
    prefect.start()
    back_at = time.time()
    eventually(lambda: sink.to("raway-") == 2)
    assert max(at for at, to, _ in sink.notes() if to.startswith("raway-")) - back_at < 10
    assert set(alone.until_ended()) == {"sent"}
    assert alone.books().twice == 0


def test_a_worker_told_to_stop_while_prefect_is_away_leaves_within_seconds(alone):
    leaving = alone.worker().ready()
    alone.prefect.stop()
    time.sleep(3)
    leaving.process.terminate()
    leaving.process.wait(15)
    alone.prefect.start()
    assert leaving.process.returncode == 0, leaving.log.read_text()[-2000:]


@pytest.mark.timeout(300)
def test_a_worker_started_while_prefect_is_away_sends_what_is_urgent_and_joins_it_later(tmp_path):
    with (
        prefect_server(tmp_path) as server,
        mail_sink(tmp_path) as sink,
        installation(tmp_path / "home", server, sink) as site,
    ):
        server.stop()
        server.lose_database()
        send(site, "order-confirmation", order("early"))
        send(site, "alert", alert(to="early-alert"))
        worker = site.worker().until("the Prefect API does not respond")
        began_at = time.time()
        eventually(lambda: sink.to("early-") == 1, 40)
        assert 3 < time.time() - began_at < 16
        assert sink.to("rearly") == 0, "what is not urgent waits for Prefect"
        assert worker.log.read_text().count("does not respond") == 1
        server.start()
        back_at = time.time()
        eventually(lambda: sink.to("rearly") == 1)
        assert time.time() - back_at < 10
        worker.ready()
        assert [server.knows(type) for type in ("alert", "digest", "order-confirmation")] == [True] * 3
        assert set(site.until_ended()) == {"sent"}
        assert site.books().twice == 0
        endings = dict(list(site.query("SELECT type, ending FROM batches")))
        assert endings == {"alert": "direct", "order-confirmation": "done"}


@contextmanager
def answering_nobody():
    """The URL of a server that accepts connections and never responds."""
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"


def test_a_prefect_that_hangs_keeps_a_worker_neither_from_sending_nor_from_leaving(alone, tmp_path):
    with (
        answering_nobody() as api,
        installation(tmp_path / "home", alone.prefect, alone.sink, settings={"PREFECT_API_URL": api}) as site,
    ):
        site.accept("alert", [alert(to="hangs")])
        began_at = time.time()
        worker = site.worker()
        eventually(lambda: alone.sink.to("hangs") == 1, 40)
        assert time.time() - began_at < 25, "its start takes some of that"
        worker.process.terminate()
        worker.process.wait(4)
        assert worker.process.returncode == 0, worker.log.read_text()[-2000:]


def test_a_mail_server_that_hangs_keeps_no_worker_from_leaving_and_what_it_has_is_in_doubt(prefect, tmp_path):
    with (
        mail_sink(tmp_path, 120.0) as sink,
        installation(tmp_path / "home", prefect, sink, connections=3) as site,
    ):
        worker = site.worker().ready()
        site.accept("order-confirmation", [order(f"hanging-{number}") for number in range(9)])
        eventually(lambda: site.query("SELECT count(*) FROM attempts")[0][0] == 2, 40)
        time.sleep(1)  # until each attempt has sent its final dot
        began_at = time.monotonic()
        worker.process.terminate()
        worker.process.wait(30)
        assert worker.process.returncode == 0, worker.log.read_text()[-2000:]
        assert time.monotonic() - began_at < 10, "Docker kills what takes longer"
        made = site.rows(attempts)
        assert {(row.verdict, row.phase) for row in made} == {("unknown", "dot")}
        assert all("stopped" in row.words for row in made)
        assert site.states().get("sent", 0) == 0
        assert site.query("SELECT count(*) FROM notifications WHERE in_doubt = 1")[0][0] == len(made)


@pytest.mark.parametrize("command", ["worker", "dispatch"])
def test_a_wrong_prefect_api_is_told_in_a_sentence(prefect, tmp_path, command):
    wrong = {"PREFECT_API_URL": prefect.api.removesuffix("/api") + "/no/api"}
    with installation(tmp_path / "home", prefect, Sink(9, tmp_path / "log"), settings=wrong) as site:
        done = site.command(command)
    assert done.returncode == 1
    assert "set PREFECT_API_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dispatcher_says_once_where_it_waits_for_prefect_and_leaves_when_told(prefect, tmp_path):
    nowhere = {"PREFECT_API_URL": "http://me:hunter2@127.0.0.1:9/api"}
    with installation(tmp_path / "home", prefect, Sink(9, tmp_path / "log"), settings=nowhere) as site:
        waiting = site.start("waypost", "dispatch").until("waiting for it at http://127.0.0.1:9/api")
        time.sleep(3)
        waiting.process.terminate()
        waiting.process.wait(20)
        told = waiting.log.read_text()
    assert waiting.process.returncode == 0, told
    assert told.count("does not respond") == 1
    assert "dispatching" not in told
    assert "hunter2" not in told


def test_prefect_learns_of_what_went_out_without_it(alone):
    endings = alone.query("SELECT type, ending, flow_run_id FROM batches WHERE ending = 'direct'")
    assert {row[0] for row in endings} == {"alert", "signup-verification"}
    attempts = alone.query(
        "SELECT attempts.flow_run_id FROM attempts JOIN batches ON batches.id = attempts.batch_id "
        "WHERE batches.ending = 'direct'"
    )
    assert [row[0] for row in attempts] == [None, None]

    def told():
        runs = alone.prefect.runs("without-prefect")
        return {run["name"]: run["state"]["type"] for run in runs}

    names = [f"1 {type} · without Prefect" for type in ("alert", "signup-verification")]
    assert eventually(lambda: told() == dict.fromkeys(names, "COMPLETED"), 30)


def test_when_prefect_loses_its_database_deployments_come_back_and_what_is_accepted_is_sent(alone):
    alone.prefect.stop()
    send(alone, "order-confirmation", order("lost-1"))
    alone.prefect.lose_database()
    alone.prefect.start()
    for type in ("alert", "digest", "order-confirmation", "signup-verification"):
        assert eventually(lambda type=type: alone.prefect.knows(type), 40)
    alone.accept("order-confirmation", [order("lost-2")])
    eventually(lambda: alone.sink.to("rlost-") == 2, 30)
    assert set(alone.until_ended()) == {"sent"}
    assert alone.books().twice == 0


def test_a_ledger_that_turns_read_only_stops_the_sending_until_it_can_be_written(prefect, cluster, tmp_path):
    database = cluster.database()
    name = database.rpartition("/")[2]
    cut_off = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    with (
        mail_sink(tmp_path, 0.05) as sink,
        installation(tmp_path / "home", prefect, sink, database, connections=2) as site,
    ):
        site.worker()
        site.accept("alert", [alert(to=f"ro-{n}") for n in range(200)])
        eventually(lambda: sink.to("ro-") > 20)
        cluster.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on", cut_off)
        assert_nothing_goes(sink, "ro-")
        cluster.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only", cut_off)
        assert site.until_ended() == {"sent": 200}
        assert (site.books().lost, site.books().twice) == (0, 0)


def test_a_disk_that_is_full_stops_the_sending_until_there_is_room(prefect, tmp_path):
    settings = {"WAYPOST_WORK_POOL": "full"}
    with (
        mail_sink(tmp_path, 0.05) as sink,
        installation(tmp_path / "home", prefect, sink, connections=2, settings=settings) as site,
    ):
        worker = site.worker().process
        site.accept("alert", [alert(to=f"full-{n}") for n in range(200)])
        eventually(lambda: sink.to("full-") > 20)
        limits = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (FULL, limits[1]))
        assert_nothing_goes(sink, "full-")
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, limits)
        assert site.until_ended() == {"sent": 200}
        assert (site.books().lost, site.books().twice) == (0, 0)


def assert_nothing_goes(sink, start):
    """Fail if a mail arrives after those that were on the wire."""
    time.sleep(1)
    before = sink.to(start)
    time.sleep(4)
    assert sink.to(start) == before < 200
