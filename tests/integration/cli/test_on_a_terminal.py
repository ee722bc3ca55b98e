"""Tables on a terminal: fitted, in colour, with short ids that commands take. In a pipe they are complete."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from support.ledger import NOTE, ask
from support.processes import waypost
from support.terminal import on_terminal, uncoloured
from typer.testing import CliRunner

from waypost.cli import app
from waypost.config.settings import Settings
from waypost.ledger import connect
from waypost.ledger.database.tables import notifications
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations.short_ids import short
from waypost.model.request import Recipient
from waypost.model.states import State
from waypost.system.clock import now

GREYLISTED = "deferred at rcpt: 451 4.7.1 Greylisted: bob@northwind.example, try again in 60 seconds"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A ledger with a notification in each state, each to another recipient, half of them of a client."""
    home = tmp_path_factory.mktemp("terminal") / "home"
    assert waypost(home, "db", "upgrade").returncode == 0
    asyncio.run(_fill(Settings(home=home)))
    return home


async def _fill(settings):
    async with connect(settings) as ledger:
        for number, state in enumerate(State):
            who = Recipient(email=f"customer-{number}@northwind.example")
            request = ask(recipient=who, tags=["spring" if number % 3 else "autumn"])
            [receipt] = await accept_all(ledger, [Candidate(NOTE, request, "shop" if number % 2 else "")])
            values = {
                "state": state,
                "due_at": now() + timedelta(hours=1),
                "reason": GREYLISTED if state == State.DEFERRED else "",
            }
            update = sa.update(notifications).where(notifications.c.id == receipt.id).values(**values)
            await ledger.write(lambda connection, update=update: connection.execute(update))


def piped(home, *arguments, **environment):
    """The standard output of a command that writes to no terminal."""
    done = CliRunner(env={"WAYPOST_HOME": str(home), **environment}).invoke(app, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.stdout


def listed(home, *arguments):
    return json.loads(piped(home, "list", "--json", *arguments))["notifications"]


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (40, "id state recipie…"),
        (60, "id state recipient reason"),
        (80, "id type client state recipient reason"),
        (120, "id type client state recipient attempts due or ended (UTC) reason"),
    ],
)
def test_a_list_is_fitted_to_the_terminal(home, width, titles):
    head, *lines = uncoloured(on_terminal(home, width, "list")).splitlines()
    assert head.split() == titles.split()
    assert len(lines) == len(State)
    assert max(map(len, (head, *lines))) <= width
    assert {state for state in State if any(f" {state}" in line for line in lines)} == set(State)


@pytest.mark.parametrize(
    ("width", "state", "titles"),
    [
        (60, State.SENT, "id state recipient due or ended (UTC)"),
        (80, State.SENT, "id type client state recipient due or ended (UTC)"),
        (60, State.DEFERRED, "id state recipient reason"),
    ],
)
def test_a_column_without_content_makes_room_for_the_next(home, width, state, titles):
    head, *lines = uncoloured(on_terminal(home, width, "list", "--state", state)).splitlines()
    assert head.split() == titles.split()
    assert max(map(len, (head, *lines))) <= width


@pytest.mark.parametrize("width", [60, 80])
def test_what_is_in_doubt_is_told_in_full(home, width):
    with sqlite3.connect(home / "ledger.db") as ledger:
        ledger.execute("UPDATE notifications SET in_doubt = 1 WHERE state = 'sent'")
    try:
        said = uncoloured(on_terminal(home, width, "list", "--in-doubt"))
    finally:
        with sqlite3.connect(home / "ledger.db") as ledger:
            ledger.execute("UPDATE notifications SET in_doubt = 0")
    assert "maybe sent twice" in said
    assert "…" not in said.partition("maybe")[2]


def test_a_reason_that_does_not_fit_ends_in_an_ellipsis_and_does_not_repeat_the_state(home):
    [line] = [line for line in uncoloured(on_terminal(home, 100, "list")).splitlines() if "deferred" in line]
    assert line.count("deferred") == 1
    assert line.endswith("…")


def test_a_list_in_a_pipe_is_complete_and_does_not_depend_on_the_width(home):
    narrow, wide = (piped(home, "list", COLUMNS=width) for width in ("40", "200"))
    assert narrow == wide
    assert all(one["id"] in wide for one in listed(home))
    assert "b***b@northwind.example, try again in 60 seconds" in wide
    assert "\x1b" not in wide


def test_states_are_in_colour_on_a_terminal_that_wants_it(home):
    assert "\x1b[31mfailed" in on_terminal(home, 80, "list")
    assert "\x1b[32msent" in on_terminal(home, 80, "list")
    assert "\x1b[3" not in on_terminal(home, 80, "list", NO_COLOR="1")


def test_a_short_id_of_the_list_is_taken_by_the_commands(home):
    seen = uncoloured(on_terminal(home, 80, "list", "--state", "sent", "--state", "failed"))
    for line in seen.splitlines()[1:]:
        given, *rest = line.split()
        state = next(word for word in rest if word in set(State))
        told = json.loads(piped(home, "explain", given, "--json"))
        assert (short_of(told), told["state"]) == (given, state)
    assert json.loads(piped(home, "cancel", given, "--yes", "--json"))["total"] == 0
    newest, *older = [one["id"] for one in listed(home)]
    assert [one["id"] for one in listed(home, "--after", newest[:8] + ".." + newest[-6:])] == older


def short_of(told):
    return short(UUID(told["id"]))


def test_an_id_that_is_not_unique_is_told_with_those_it_may_be(home):
    ids = [one["id"] for one in listed(home)]
    done = waypost(home, "explain", ids[0][:8])
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith(f"waypost: {ids[0][:8]} is not unique; give one of these in full: ")
    alike = [
        id for id in ids if id.startswith(ids[0][:8])
    ]  # made within a minute, which a busy machine may miss
    assert sum(id in done.stderr for id in ids) == min(len(alike), 5)
    unknown = waypost(home, "cancel", "0123456789..abcdef")
    assert unknown.stderr == "waypost: no notification has an id like 0123456789..abcdef\n"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_an_explanation_breaks_between_words(home, width):
    [one] = listed(home, "--state", "deferred")
    narrow = uncoloured(on_terminal(home, width, "explain", one["id"]))
    whole = piped(home, "explain", one["id"])
    assert max(map(len, narrow.splitlines())) <= max(width, len("recipient ") + 37)
    assert set(narrow.split()) == set(whole.split())


def test_addresses_are_shown_only_to_those_who_ask(home):
    [one] = listed(home, "--state", "deferred")
    for arguments in (
        ("list",),
        ("list", "--json"),
        ("explain", one["id"]),
        ("explain", one["id"], "--json"),
    ):
        masked, full = piped(home, *arguments), piped(home, *arguments, "--reveal")
        assert "customer-4@northwind.example" not in masked
        assert "bob@northwind.example" not in masked
        assert "customer-4@northwind.example" in full
        assert "bob@northwind.example" in full


@pytest.mark.parametrize("client", ["", "shop"])
def test_notifications_are_found_by_recipient_and_tag(home, client):
    number = 3 if client else 4
    address = f"Customer-{number}@northwind.example"
    [one] = listed(home, "--recipient", address, "--reveal")
    assert (one["recipient"], one["client"]) == (address.lower(), client or None)
    assert len(listed(home, "--tag", "autumn")) == 4
    assert listed(home, "--tag", "autumn", "--recipient", "customer-4@northwind.example") == []
    assert len(listed(home, "--tag", "spring", "--state", "sent")) == 1


def test_doctor_breaks_its_lines_between_words(home):
    seen = uncoloured(on_terminal(home, 60, "doctor"))
    assert max(len(line) for line in seen.splitlines() if "/" not in line) <= 60
    assert "\nnote signing" in seen


def test_doctor_tells_notes_from_what_is_well(home):
    found = json.loads(piped(home, "doctor", "--json"))
    levels = {one["what"]: (one["level"], one["ok"]) for one in found}
    assert levels["settings"] == ("ok", True)
    assert levels["signing"] == ("note", True)
    assert levels["prefect"] == ("bad", False)
    [ledger] = [one for one in found if one["what"] == "ledger"]
    assert "1 of them deferred, 0 late" in ledger["found"]
