"""`waypost recipients`: what it tells of somebody, and that nothing is left of whoever is forgotten."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.ledger import NOTE, ask
from typer.testing import CliRunner, Result

from waypost.cli import app
from waypost.cli.errors import explained
from waypost.config.settings import Settings
from waypost.ledger import connect
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.records import recipients
from waypost.model.profile import Profile
from waypost.model.request import Recipient

ADA = Recipient(id="ada", email="ada@a.example", name="Ada")
SHOPS = Recipient(id="ada", email="ada@shop.example")
NAMELESS = Recipient(email="Bob@a.example")


@pytest.fixture
def home(home: None) -> None:
    asked = [(ADA, ""), (SHOPS, "shop"), (NAMELESS, "")]

    async def accept() -> None:
        async with connect(Settings()) as ledger:
            await accept_all(ledger, [Candidate(NOTE, ask(recipient=who), client) for who, client in asked])

    asyncio.run(accept())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["recipients", *arguments])


def shown(*arguments: str):
    done = run("show", *arguments, "--json")
    return json.loads(done.stdout)["email"] if done.exit_code == 0 else None


def test_a_recipient_is_shown_by_id_of_the_client_that_is_named(home):
    assert (shown("ada"), shown("ada", "--client", "shop")) == ("ada@a.example", "ada@shop.example")
    told = dict(
        line.split(maxsplit=1) for line in run("show", "ada").stdout.splitlines() if " " in line.strip()
    )
    assert (told["email"], told["name"]) == ("ada@a.example", "Ada")


def test_who_has_no_id_is_shown_by_address(home):
    assert shown("mailto:bob@A.example") == shown("bob@A.example") == "Bob@a.example"
    assert run("forget", "bob@a.example", "--yes").exit_code == 0
    assert shown("mailto:bob@a.example") is None


def test_who_is_not_known_is_told_by_what_was_asked(home):
    told = run("show", "ada@a.example")
    assert told.exit_code == 1
    assert explained(told.exception).endswith("a recipient with an id is found only by the id")


def test_forgetting_leaves_nothing_of_that_recipient_and_the_others_alone(home):
    unasked = run("forget", "ada")
    assert (shown("ada"), "add --yes" in str(unasked.exception)) == ("ada@a.example", True)
    assert unasked.stderr == "1 notification waits for this recipient, and will fail\n"
    done = run("forget", "ada", "--yes", "--json")
    assert json.loads(done.stdout) == {"id": "ada", "forgotten": True, "waiting": 1}
    done = run("forget", "mailto:bob@a.example", "--yes")
    assert done.stdout == "the recipient is forgotten\n"
    assert (shown("ada"), shown("mailto:bob@a.example")) == (None, None)
    assert shown("ada", "--client", "shop") == "ada@shop.example"
    listed = CliRunner().invoke(app, ["list", "--json"]).stdout
    assert "bob" not in listed.lower()
    assert "a.example" not in listed


def test_an_export_has_all_of_the_client_that_is_named(home):
    done = run("export", "ada", "--client", "shop", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["recipient"]["email"], told["preferences"], told["suppressions"]) == (
        "ada@shop.example",
        {},
        [],
    )
    [one] = told["notifications"]
    assert (one["state"], one["recipient"], one["data"]) == ("accepted", {"email": "ada@shop.example"}, None)
    assert (
        json.loads(run("export", "Bob@A.example", "--json").stdout)["recipient"]["email"] == "Bob@a.example"
    )


def test_an_export_for_people_lists_notifications_in_short(home):
    lines = run("export", "ada").stdout.splitlines()
    assert lines[1].split() == ["email", "ada@a.example"]
    assert lines[-1].endswith("note  accepted")


def test_an_export_of_somebody_forgotten_has_what_is_left(home):
    run("forget", "ada", "--yes")
    told = json.loads(run("export", "ada", "--json").stdout)
    assert (told["recipient"], len(told["notifications"])) == (None, 1)


@pytest.mark.parametrize("command", ["show", "forget", "export"])
def test_who_is_unknown_is_said_with_what_to_try(home, command):
    done = run(command, "eve")
    assert (done.exit_code, done.stdout) == (1, "")
    assert explained(done.exception) == (
        "no recipient eve is known for requests without an API key (--client names an application)"
    )
    assert "client shop" in explained(run(command, "eve", "--client", "shop").exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ("recipients", "show", "ada", "--client", "shpo"),
        ("recipients", "forget", "ada", "--client", "shpo", "--yes"),
        ("verify", "ada", "123456", "--client", "shpo"),
        ("webhooks", "create", "shpo", "https://shop.example/told"),
    ],
)
def test_a_client_of_whom_there_is_nothing_is_told(home, arguments):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert explained(done.exception) == "unknown client shpo; `waypost keys list` shows all clients"


def test_a_list_names_the_client_where_there_is_one(home):
    head, *lines = CliRunner().invoke(app, ["list"]).stdout.splitlines()
    assert head.split()[:3] == ["id", "type", "client"]
    assert sorted(line.split()[2] for line in lines) == ["-", "-", "shop"]


def test_what_is_no_address_is_refused(home):
    done = run("show", "mailto:nobody")
    assert done.exit_code == 2
    assert "not a valid email address" in done.stderr


def generation(client: str) -> int:
    async def read() -> int:
        async with connect(Settings()) as ledger:
            found = await recipients.linked(ledger, "ada", client)
            assert found is not None
            return found.generation

    return asyncio.run(read())


def test_links_are_revoked_of_the_client_that_is_named_and_of_nobody_unknown(home):
    before = generation(""), generation("shop")
    done = run("revoke-links", "ada", "--client", "shop")
    assert (done.exit_code, done.stdout) == (0, "the links are revoked; later mails have new links\n")
    assert (generation(""), generation("shop")) == (before[0], before[1] + 1)
    assert json.loads(run("revoke-links", "Bob@a.example", "--json").stdout)["revoked"] is True
    assert "no recipient eve is known" in explained(run("revoke-links", "eve").exception)


def test_every_address_is_shown_with_its_state(home):
    async def patch() -> None:
        async with connect(Settings()) as ledger:
            given = [{"address": "ada@home.example", "verified": True}, {"address": "+4930123456"}]
            await recipients.patch(ledger, Profile(id="ada", addresses=given), ["addresses"])

    asyncio.run(patch())
    lines = [line for line in run("show", "ada").stdout.splitlines() if line.startswith("address")]
    assert lines[0].split(maxsplit=1)[1] == "ada@a.example: email, main, not verified"
    assert lines[1].split(maxsplit=1)[1].startswith("ada@home.example: email, verified 20")
    assert lines[2].split(maxsplit=1)[1] == "+4930123456: phone, not verified"
    assert run("export", "ada").stdout.count("\naddress ") == 3
