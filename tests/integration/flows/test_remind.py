"""`waypost remind`: whom a source names, listed or notified."""

from __future__ import annotations

import json
import sqlite3

import pytest
from typer.testing import CliRunner

from waypost.cli import app
from waypost.config.settings import Settings
from waypost.sources import due

HEAD = "email,phone,id,locale,membership,expires_on,due_on\n"
ADA = "ada.l@a.example,+41791234567,ada,de,Friends,2026-03-31,\n"
BOB = "bob.b@b.example,,,,Friends,2026-04-30,2026-03-02\n"
BAD = "cyd@,,,,Friends,2026-04-30,\n"


@pytest.fixture
def run(monkeypatch, tmp_path, empty_ledger):
    """Runs the command, over members.csv of these lines."""
    monkeypatch.setenv("WAYPOST_PROJECT", str(tmp_path))
    monkeypatch.setenv("WAYPOST_HOME", str(tmp_path))
    monkeypatch.setenv("WAYPOST_SOURCES", '{"membership-expiry": {"file": "members.csv"}}')
    (tmp_path / "ledger.db").write_bytes(empty_ledger.read_bytes())

    def invoke(*options, lines=(ADA, BOB), type="membership-expiry"):
        if lines is not None:
            (tmp_path / "members.csv").write_text(HEAD + "".join(lines))
        return CliRunner().invoke(app, ["remind", type, "--date", "2026-03-02", *options])

    return invoke


def accepted():
    with sqlite3.connect(Settings().home / "ledger.db") as ledger:
        return ledger.execute("SELECT count(*) FROM notifications").fetchone()[0]


def test_a_preview_lists_whom_masked_and_sends_nothing(run):
    done = run("--preview")
    assert done.exit_code == 0, done.output
    assert "a***l@a.example" in done.stdout
    assert "+41***67" in done.stdout
    assert "members.csv, line 3" in done.stdout
    assert "ada.l@" not in done.output
    assert "nothing was accepted or sent" in done.stdout
    assert accepted() == 0


def test_a_preview_shows_addresses_where_asked(run):
    done = run("--preview", "--reveal", "--json", "--limit", "1")
    found = json.loads(done.stdout)
    assert found["recipients"] == [
        {
            "row": "members.csv, line 2", "id": "ada", "email": "ada.l@a.example",
            "phone": "+41791234567", "locale": "de",
        }
    ]  # fmt: skip
    assert (found["date"], found["rows"], found["due"], found["accepted"]) == ("2026-03-02", 2, 2, 0)


def test_it_notifies_each_person_once_per_date(run):
    first = json.loads(run("--json").stdout)
    assert (first["accepted"], first["before"], accepted()) == (2, 0, 2)
    done = run()
    assert done.exit_code == 0
    assert "notified before, not sent again" in done.stdout
    other_day = json.loads(run("--json", "--date", "2026-03-03").stdout)
    assert (other_day["accepted"], other_day["other_dates"], accepted()) == (1, 1, 3)


def test_a_bad_row_is_named_and_the_others_are_accepted(run):
    done = run(lines=(BAD, ADA))
    assert done.exit_code == 1
    assert "members.csv, line 2: recipient.email: not a valid email address" in done.stderr
    assert accepted() == 1


def test_a_missing_file_is_named(run):
    done = run(lines=None)
    assert done.exit_code == 1
    assert "members.csv does not exist" in done.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("type", "said"),
    [
        (
            "low-balance",
            "no source is set for low-balance: set it in WAYPOST_SOURCES; `waypost docs types` shows how",
        ),
        ("alert", "alert has no reminders: it asks no source"),
        ("digest", "Waypost composes digest itself"),
    ],
)
def test_a_type_without_a_source_is_named(run, type, said):
    assert said in str(run(type=type).exception)


def test_a_date_that_is_none_is_refused(run):
    done = run("--date", "tomorrow")
    assert done.exit_code == 2
    assert "not a date" in done.output


ADA_AGAIN, ADA_LATER = ADA, ADA.replace("2026-03-31", "2026-05-31")
UNKNOWN = ",,eve,,Friends,2026-04-30,\n"


@pytest.mark.parametrize("at_once", [1, 500])
@pytest.mark.parametrize(
    ("lines", "accepted", "before", "rejected"),
    [
        ((ADA, BOB), 2, 0, 0),
        ((ADA, BOB, ADA_LATER), 2, 0, 1),
        ((ADA, ADA_AGAIN), 1, 1, 0),
        ((BAD, UNKNOWN, ADA), 1, 0, 2),
    ],
)
def test_a_preview_says_what_the_run_then_does(run, monkeypatch, at_once, lines, accepted, before, rejected):
    monkeypatch.setattr(due, "AT_ONCE", at_once)
    shown, done = run("--preview", "--json", lines=lines), run("--json", lines=lines)
    told, did = json.loads(shown.stdout), json.loads(done.stdout)
    assert (did["accepted"], did["before"], did["rejected"]) == (accepted, before, rejected)
    assert (told["to_notify"], len(told["recipients"]), told["accepted"]) == (accepted, accepted, 0)
    assert all(told[name] == did[name] for name in ("rows", "due", "before", "rejected", "rejections"))
    assert shown.exit_code == done.exit_code == bool(rejected)
    again = json.loads(run("--preview", "--json", lines=lines).stdout)
    assert (again["to_notify"], again["recipients"]) == (0, [])


@pytest.mark.parametrize("options", [(), ("--preview",)])
def test_a_table_without_a_column_of_the_recipient_is_told_what_to_add(run, options):
    (Settings().project / "members.csv").write_text("mail,membership,expires_on\na@a.example,F,2026-03-31\n")
    done = run(*options, lines=None)
    assert done.exit_code == 1
    said = "members.csv has no column email, phone or id; add one that names the recipient"
    assert said in done.stderr.replace("\n", "")
