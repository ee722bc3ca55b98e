"""Processes start, stop, are killed, and start again."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from support.forks import Forked
from support.processes import command, environment, eventually, start, waypost
from support.requests import order


def prefect_server(parent: int) -> int:
    """The pid of the Prefect server that a `waypost up` has started."""
    children = Path(f"/proc/{parent}/task").glob("*/children")
    pids = [int(pid) for listed in children for pid in listed.read_text().split()]
    server = b"waypost.deployments.processes.prefect_server"
    return next(pid for pid in pids if server in Path(f"/proc/{pid}/cmdline").read_bytes())


def states(home) -> dict[str, int]:
    with sqlite3.connect(f"file:{home / 'ledger.db'}?mode=ro", uri=True) as ledger:
        return dict(ledger.execute("SELECT state, count(*) FROM notifications GROUP BY state"))


@pytest.mark.long
def test_it_stops_cleanly_by_either_signal_and_starts_again_on_the_same_data(tmp_path):
    first = start(tmp_path / "home")
    _, summary = first.send("order-confirmation", {**order("1"), "idempotency_key": "k"})
    assert summary["states"] == {"sent": 1}
    stops_cleanly(first, signal.SIGINT)
    second = start(tmp_path / "home")
    _, again = second.send("order-confirmation", {**order("1"), "idempotency_key": "k"})
    assert (again["accepted"], again["repeated"], len(second.mails())) == (0, 1, 1)
    stops_cleanly(second, signal.SIGTERM)


def stops_cleanly(started, number):
    began = time.monotonic()
    assert started.stop(number) == 0
    assert time.monotonic() - began < 20
    assert "Traceback" not in (started.home / "up.log").read_text()


@pytest.mark.parametrize(("option", "other"), [("--port", "--gateway-port"), ("--gateway-port", "--port")])
def test_a_taken_port_is_said_clearly_with_what_to_do(tmp_path, option, other):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = waypost(tmp_path / "home", "up", f"{option}={port}", f"{other}=0")
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert f", {option})" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_neither_a_password_nor_a_proxy_nor_the_name_of_its_home_keeps_it_from_work(tmp_path):
    around = {
        "PREFECT_SERVER_API_AUTH_STRING": "admin:hunter2",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }
    started = start(tmp_path / "h?a=1 #%41", **around)
    one = tmp_path / "one.jsonl"
    one.write_text(json.dumps(order("1")))
    done = started.run("send", "order-confirmation", "--from", str(one), "--json", **around)
    assert json.loads(done.stdout)["states"] == {"sent": 1}, done.stdout + done.stderr
    assert started.run("doctor", **around).returncode == 0
    assert httpx.get(f"{started.here.api}/health").is_success
    assert httpx.post(f"{started.here.api}/flows/filter", json={}).status_code == 401
    assert "hunter2" not in (started.home / "up.log").read_text()
    assert started.stop() == 0


def test_two_in_one_home_are_refused(up):
    done = waypost(up.home, "up", "--port=0", "--smtp-port=0", "--texts-port=0", "--gateway-port=0")
    assert done.returncode == 1
    assert f"pid {up.process.pid}" in done.stderr


@pytest.mark.long
def test_what_nobody_takes_up_waits_in_the_ledger_and_goes_out_later(tmp_path):
    home = tmp_path / "home"
    waypost(home, "db", "upgrade")
    (tmp_path / "one.jsonl").write_text(json.dumps(order("1")))
    done = waypost(home, "send", "order-confirmation", "--from", str(tmp_path / "one.jsonl"))
    assert done.returncode == 1
    assert "safe in the ledger" in done.stderr
    assert states(home) == {"accepted": 1}
    started = start(home)
    eventually(lambda: states(home) == {"sent": 1}, 60)
    assert started.stop() == 0


@pytest.mark.long
def test_where_providers_are_named_for_mail_there_is_no_development_mailbox(tmp_path):
    own = {"WAYPOST_PROVIDERS": json.dumps({"own": {"url": f"maildir://{tmp_path}/own"}})}
    started = start(tmp_path / "home", **own)
    (tmp_path / "one.jsonl").write_text(json.dumps(order("1")))
    done = started.run("send", "order-confirmation", "--from", str(tmp_path / "one.jsonl"), **own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert started.here.mailbox is None
    assert len(list((tmp_path / "own").glob("new/*"))) == 1
    assert started.stop() == 0


@pytest.mark.long
def test_killed_in_the_middle_its_children_end_everything_arrives_and_the_doubtful_are_few(tmp_path):
    home = tmp_path / "home"
    hasty = {"WAYPOST_LEASE_SECONDS": "5"}
    first = start(home, **hasty)
    file = tmp_path / "many.jsonl"
    file.write_text("".join(json.dumps(order(f"K-{n}")) + "\n" for n in range(400)))
    first.run("send", "order-confirmation", "--from", str(file), "--no-wait", **hasty)
    eventually(lambda: len(list(first.folder.glob("*.eml"))) > 20)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    port = int(first.here.ui.rpartition(":")[2])
    eventually(lambda: is_free(port), 30)
    second = start(home, **hasty)
    eventually(lambda: states(home) == {"sent": 400}, 120)
    ids = [mail["Message-ID"] for mail in second.mails()]
    assert len(set(ids)) == 400
    assert len(ids) - 400 <= 8, "at most one message per open connection may go twice"
    assert second.stop() == 0


def is_free(port: int) -> bool:
    """Whether nothing listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.long
def test_a_worker_elsewhere_takes_runs_of_a_prefect_server_that_is_set(up, tmp_path):
    """`waypost worker` on the same server and ledger as `waypost up`."""
    env = environment(up.home)
    process = Forked(command("worker"), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        line = process.stdout.readline().decode()
        assert "taking runs of the pool waypost" in line
        assert up.here.api in line
        _, summary = up.send("order-confirmation", order("W-1"))
        assert summary["states"] == {"sent": 1}
    finally:
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.long
def test_a_prefect_server_that_dies_alone_is_started_again(tmp_path):
    started = start(tmp_path / "home")
    server = prefect_server(started.process.pid)
    os.kill(server, signal.SIGKILL)
    told, summary = started.send("order-confirmation", order("again"))
    assert summary["states"] == {"sent": 1}, told.stderr
    assert prefect_server(started.process.pid) != server
    assert started.stop() == 0
