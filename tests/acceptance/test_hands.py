"""The operator's commands, as typed, on a ledger without workers."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from support.forks import Forked
from support.processes import Run, command, environment, eventually, waypost
from support.requests import alert, order

Hands = Callable[..., Run]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A ledger with three orders that wait and an alert held for its digest."""
    home = tmp_path_factory.mktemp("hands") / "home"
    assert waypost(home, "db", "upgrade").returncode == 0
    for type, requests in (
        ("order-confirmation", [order(f"A-{number}") for number in range(3)]),
        ("alert", [alert(digest=True)]),
    ):
        file = home / f"{type}.jsonl"
        file.write_text("".join(json.dumps(request) + "\n" for request in requests))
        assert waypost(home, "send", type, "--from", str(file), "--no-wait").returncode == 0
    return home / "ledger.db"


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A home with a copy of the ledger `made` and of the key it is sealed with, for one test."""
    copy = tmp_path / "home"
    copy.mkdir()
    shutil.copy(made.with_name("secret.key"), copy)
    with sqlite3.connect(made) as source, sqlite3.connect(copy / "ledger.db") as target:
        source.backup(target)
    return copy


@pytest.fixture
def run(home: Path) -> Hands:
    return lambda *arguments, **more: waypost(home, *arguments, **more)


def sql(home: Path, text: str) -> None:
    with sqlite3.connect(home / "ledger.db") as ledger:
        ledger.execute(text)


def listed(run: Hands, *options: str) -> list[dict]:
    return json.loads(run("list", *options, "--json").stdout)["notifications"]


def orders_in(home: Path) -> int:
    with sqlite3.connect(home / "ledger.db") as ledger:
        wanted = "SELECT count(*) FROM notifications WHERE type = 'order-confirmation'"
        return ledger.execute(wanted).fetchone()[0]


def answered(home: Path, answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command at a terminal and answer its question."""
    ours, theirs = pty.openpty()
    process = Forked(
        command(*arguments), env=environment(home), stdin=theirs, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    os.write(ours, f"{answer}\n".encode())
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    return process.returncode, out


def test_list_shows_a_page_and_says_how_to_get_the_next(run):
    first = run("list", "--limit", "3")
    assert len(first.stdout.splitlines()) == 4
    after = first.stderr.split("--after ")[1].split()[0]
    assert len(run("list", "--limit", "3", "--after", after).stdout.splitlines()) == 2
    page = json.loads(run("list", "--limit", "3", "--json").stdout)
    assert (len(page["notifications"]), page["next"]) == (3, after)


def test_no_address_is_shown_whole(run, home):
    sql(home, "UPDATE notifications SET reason = 'no rA-1@a.example here'")
    [one, *_] = listed(run)
    asked = (("list",), ("list", "--json"), ("explain", one["id"]), ("explain", one["id"], "--json"))
    shown = [run(*arguments) for arguments in asked]
    assert all("no r***1@a.example here" in done.stdout for done in shown)
    assert not any("rA-1@a.example" in done.stdout + done.stderr for done in shown)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--state", "held"], 1),
        (["--state", "held", "--state", "accepted"], 4),
        (["--state", "failed"], 0),
        (["--type", "order-confirmation"], 3),
        (["--since", "2h"], 4),
        (["--until", "2h"], 0),
        (["--since", "2020-01-01", "--until", "2020-01-01T02:00+01:00"], 0),
        (["--since", "2020-01-01", "--until", "2100-01-01T02:00Z"], 4),
        (["--provider", "smtp"], 0),
        (["--reason", "DIGEST"], 1),
    ],
)
def test_what_list_finds(run, options, count):
    assert len(listed(run, *options)) == count


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--state", "lost"], "'lost'"),
        (["--since", "yesterday"], "is not a time: use 30m"),
        (["--since", "99999999d"], "is not a time: use 30m"),
        (["--until", "2026-13-01"], "--until"),
        (["--since", "1h", "--until", "2h"], "nothing can match"),
        (["--after", "17"], "not an id"),
        (["--limit", "0"], "--limit"),
        (["--reason", ""], "--reason"),
        (["--reason", "x" * 1000], "320 characters"),
        (["--type", "two\nlines"], "--type"),
    ],
)
def test_a_filter_that_is_no_good_is_told(run, options, said):
    done = run("list", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("list",), ("list", "--json"), ("retry", "--yes"), ("cancel", "--yes")]
)
def test_a_type_that_nobody_declares_is_told(run, arguments):
    done = run(*arguments, "--type", "order-conformation")
    assert done.returncode == 1
    said = "there is no type 'order-conformation'; did you mean order-confirmation?"
    assert said in done.stderr
    assert run(*arguments, "--type", "signup-verification").returncode == 0


def test_explain_tells_the_story_and_links_to_where_runs_are_seen(run, home):
    [one, *_] = listed(run, "--type", "order-confirmation")
    told = run("explain", one["id"]).stdout
    assert "waits for a run" in told
    batch, flow_run = uuid4(), uuid4()
    sql(home, f"UPDATE notifications SET batch_id = '{batch.hex}'")
    sql(home, f"INSERT INTO batches (id, type, priority, size, flow_run_id, owner, created_at, leased_until) "
        f"SELECT '{batch.hex}', 'x', 'normal', 3, '{flow_run.hex}', 'h:1', accepted_at, accepted_at "
        "FROM notifications LIMIT 1")  # fmt: skip
    bare, named, api = (
        run("explain", one["id"], **more).stdout
        for more in (
            {},
            {"PREFECT_UI_URL": "https://ui.example/"},
            {"PREFECT_API_URL": "http://me:secret@prefect.example:4200/api"},
        )
    )
    assert f"run {flow_run}" in bare
    assert f"https://ui.example/runs/flow-run/{flow_run}" in named
    assert f"http://prefect.example:4200/runs/flow-run/{flow_run}" in api
    assert "secret" not in api


@pytest.mark.parametrize("arguments", [("explain",), ("retry", "--yes"), ("cancel", "--yes")])
def test_what_is_not_in_the_ledger_is_told(run, arguments):
    done = run(*arguments, str(uuid4()))
    assert (done.returncode, "there is no notification" in done.stderr) == (1, True)


@pytest.mark.parametrize("verb", ["retry", "cancel"])
@pytest.mark.parametrize(
    ("which", "said"),
    [
        ((), "give ids, or options"),
        (("--state", "held", "00000000-0000-7000-8000-000000000000"), "not both"),
    ],
)
def test_retry_and_cancel_want_ids_or_a_filter(run, verb, which, said):
    done = run(verb, "--yes", *which)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_without_a_terminal_nothing_is_done_unasked(run):
    done = run("cancel", "--type", "order-confirmation")
    assert done.returncode == 1
    assert "3  accepted:   can be cancelled" in done.stderr
    assert "add --yes" in done.stderr
    assert len(listed(run, "--state", "accepted")) == 3


@pytest.mark.parametrize(("answer", "status", "left"), [("y", 0, 0), ("n", 1, 3)])
def test_at_a_terminal_it_counts_asks_and_does_as_told(run, home, answer, status, left):
    code, out = answered(home, answer, "cancel", "--type", "order-confirmation")
    assert (code, "cancel 3?" in out) == (status, True)
    assert len(listed(run, "--state", "accepted")) == left


def test_cancel_and_retry_print_counts_for_scripts(run, home):
    cancelled = json.loads(run("cancel", "--since", "1h", "--yes", "--json").stdout)
    assert cancelled == {
        "cancelled": {"held": 1, "accepted": 3}, "total": 4, "left": [], "moved_on": 0,
    }  # fmt: skip
    sql(home, "UPDATE notifications SET state = 'sent' WHERE type = 'alert'")
    retried = json.loads(run("retry", "--since", "1h", "--yes", "--json").stdout)
    assert retried["retried"] == {"cancelled": 3}
    assert retried["left"] == [{"state": "sent", "count": 1, "why": "already sent"}]


def test_a_named_one_that_is_left_alone_is_exit_status_1(run, home):
    sql(home, "UPDATE notifications SET state = 'sending' WHERE type = 'alert'")
    [one] = listed(run, "--type", "alert")
    done = run("cancel", one["id"], "--yes")
    assert (done.returncode, "on the wire, so it cannot be cancelled" in done.stderr) == (1, True)


def test_a_retry_waits_for_another_process_to_finish_its_claim(run, home):
    sql(home, "UPDATE notifications SET state = 'deferred' WHERE type = 'order-confirmation'")
    other = sqlite3.connect(home / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE notifications SET state = 'claimed' WHERE recipient_key = 'r-A-1'")
    process = Forked(
        command("retry", "--state", "deferred", "--yes", "--json"), env=environment(home),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    eventually(lambda: _has_open(process, "ledger.db"))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    other.execute("COMMIT")
    out, _ = process.communicate(timeout=60)
    answer = json.loads(out)
    assert (answer["retried"], answer["moved_on"]) == ({"deferred": 2}, 1)


def _has_open(process, name):
    """Whether the process has opened the file: the time that its start takes depends on the machine."""
    files = Path(f"/proc/{process.pid}/fd").iterdir()
    return any(name in os.readlink(file) for file in files if file.is_symlink())


def test_hold_and_release_say_how_many_wait(run):
    held = run("hold", "order-confirmation", "--reason", "wrong price")
    assert "order-confirmation is held: wrong price\n3 wait" in held.stdout
    assert "held since" in run("hold", "order-confirmation").stdout
    found = {one["what"]: one for one in json.loads(run("doctor", "--json").stdout)}
    assert found["held types"]["ok"]
    assert "order-confirmation" in found["held types"]["found"]
    assert "wrong price" in found["held types"]["found"]
    assert json.loads(run("release", "order-confirmation", "--json").stdout)["due"] == 3
    again = run("release", "order-confirmation")
    assert (again.returncode, "was not held" in again.stdout) == (0, True)


@pytest.mark.parametrize("verb", ["hold", "release"])
def test_an_unknown_type_lists_those_there_are(run, verb):
    done = run(verb, "xyz")
    assert done.returncode == 1
    listed = re.findall(r"[a-z-]+", done.stderr.partition("there are ")[2])
    assert {"alert", "digest", "message", "order-confirmation", "signup-verification"} <= {*listed}


@pytest.mark.parametrize(
    "spoil",
    [
        "state = 'beyond'",
        "data = '{', due_at = 'soon', accepted_at = '', expires_at = 'x'",
        "reason = 'red \x1b[31m text\n' || char(8), batch_id = 'x'",
        "tries = 'x', finished_at = 12",
    ],
)
def test_damaged_rows_are_shown_as_far_as_they_can_be_read(run, home, spoil):
    [id, *_] = [one["id"] for one in listed(run)]
    sql(home, f"UPDATE notifications SET {spoil}")
    for arguments in (("list",), ("list", "--json"), ("explain", id), ("explain", id, "--json")):
        done = run(*arguments)
        assert (done.returncode, id in done.stdout) == (0, True), done.stderr
        assert "\x1b" not in done.stdout


def test_without_a_ledger_they_say_what_to_do(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    done = waypost(home, "list")
    assert (done.returncode, "waypost db upgrade" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("up", "--port", "99999"), "--port"),
        (("up", "--texts-port", "-1"), "--texts-port"),
        (("dispatch",), "PREFECT_API_URL"),
        (("worker",), "PREFECT_API_URL"),
        (("simulate", "--at-step", "3"), "--seed"),
        (("simulate", "--seed", "1", "--at-step", "3", "--every-step"), "--at-step"),
        (("simulate", "--seed", "-1"), "--seed"),
    ],
)
def test_an_option_that_is_no_good_is_named(run, arguments, said):
    done = run(*arguments)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False)


@pytest.mark.parametrize("command", ["deploy", "doctor"])
def test_a_cron_that_is_none_is_told(run, command):
    done = run(command, WAYPOST_DIGEST_CRON="every morning")
    assert done.returncode == 1
    assert "Usage" not in done.stderr
    assert "invalid cron expression" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_has_had_enough_is_no_trouble(home, options):
    """`waypost list | head -1`"""
    process = Forked(
        command("list", *options), env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert (process.stderr.read(), process.wait(60)) == (b"", 128 + signal.SIGPIPE)


def test_ctrl_c_while_it_watches_says_that_what_was_accepted_is_safe(home):
    file = home / "watched.jsonl"
    file.write_text(json.dumps(order("W-1")) + "\n")
    sending = Forked(
        command("send", "order-confirmation", "--from", str(file)),
        # With an address, it waits a while for Prefect; without one, it soon says that nothing runs.
        env=environment(home, PREFECT_API_URL="http://127.0.0.1:9/api"), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    # Read here: a command takes seconds on a busy machine, and watching ends when it finds no worker.
    eventually(lambda: orders_in(home) == 4)
    sending.send_signal(signal.SIGINT)
    _, said = sending.communicate(timeout=60)
    assert sending.returncode == 130, said
    assert "the accepted notifications are safe in the ledger and still go out" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("text", ["", "\n  \n"])
def test_a_file_without_requests_is_an_error(home, run, text):
    file = home / "empty.jsonl"
    file.write_text(text)
    done = run("send", "order-confirmation", "--from", str(file))
    assert done.returncode == 2
    assert f"--from: {file} has no requests: write one on each line" in done.stderr


def test_a_mistyped_type_is_answered_with_the_nearest(home, run):
    file = home / "any.jsonl"
    file.write_text(json.dumps(order("T-1")) + "\n")
    done = run("send", "Order_Confirmaton", "--from", str(file))
    assert done.returncode == 1
    assert "there is no type 'Order_Confirmaton'; did you mean order-confirmation?" in done.stderr
