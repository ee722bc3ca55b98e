"""`waypost keys`: what it prints for people and for scripts, and what it refuses."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner, Result

from waypost.cli import app
from waypost.cli.errors import explained
from waypost.config.settings import Settings
from waypost.deployments.doctor.gateway import damaged_keys_finding, keys_finding
from waypost.gateway.auth import key_format


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def run_json(*arguments: str):
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_what_create_prints_is_the_key_alone_and_the_rest_is_said_beside_it(home):
    done = run("create", "shop")
    assert key_format.parse_key(done.stdout.removesuffix("\n"))
    assert done.stderr.startswith("key of shop; scopes: send, read. It is not shown again.")


def test_a_list_tells_everything_but_the_secret(home):
    made = run_json("create", "shop", "--scope", "read", "--rate", "5", "--days", "30")
    assert made["key"].startswith(f"wp_{made['id']}_")
    [listed] = run_json("list")
    assert {name: made[name] for name in listed} == listed
    head, line = run("list").stdout.splitlines()
    assert head.split() == ["id", "client", "scopes", "limit", "created", "(UTC)", "state"]
    assert line.split()[:4] == [made["id"], "shop", "read", "5/s"]
    assert made["key"].split("_", 2)[2] not in line


def test_a_key_may_have_a_brand_which_the_next_key_keeps(home, monkeypatch):
    monkeypatch.setenv("WAYPOST_BRANDS", '{"acme": {"sender": "Acme <a@acme.example>"}}')
    old = run_json("create", "shop", "--brand", "acme")
    assert run_json("rotate", old["key"])["brand"] == old["brand"] == "acme"
    head, *lines = run("list").stdout.splitlines()
    assert head.split()[-1] == "brand"
    assert [line.split()[-1] for line in lines] == ["acme", "acme"]


def test_a_key_is_not_made_for_a_brand_that_does_not_exist(home):
    done = run("create", "shop", "--brand", "acme")
    assert done.exit_code == 2
    assert "there is no brand acme; brands: default" in done.output
    assert run_json("list") == []


def test_a_key_that_follows_another_may_do_the_same_for_as_long(home):
    old = run_json("create", "shop", "--scope", "send:alert", "--rate", "5", "--days", "30")
    new = run_json("rotate", old["key"])
    assert [new[name] for name in ("client", "scopes", "rate")] == ["shop", ["send:alert"], 5]
    assert lasts(new) == pytest.approx(timedelta(days=30), abs=timedelta(seconds=1))
    ends = {one["id"]: one["revoked_at"] for one in run_json("list")}
    assert datetime.fromisoformat(ends[old["id"]]) - datetime.now(UTC) < timedelta(hours=24)
    assert ends[new["id"]] is None


def lasts(key) -> timedelta:
    return datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])


def test_a_key_that_was_revoked_is_followed_by_none(home):
    made = run_json("create", "shop")
    assert run("revoke", made["key"]).stdout == f"key {made['id']} (client shop): revoked\n"
    assert run("revoke", made["id"]).exit_code == 0
    refused = run("rotate", made["id"])
    assert refused.exit_code == 1
    assert explained(refused.exception) == (
        f"key {made['id']} no longer works: create a new key with `waypost keys create shop`"
    )
    assert len(run_json("list")) == 1


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_id_that_nobody_has_is_told(home, command):
    refused = run(command, "nothing")
    assert refused.exit_code == 1
    assert explained(refused.exception) == "unknown key nothing; `waypost keys list` shows all keys"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "Shop"), "use small letters"),
        (("create", "shop", "--scope", "sned"), "unknown scope 'sned'"),
        (("create", "shop", "--days", "1e12"), "36500"),
        (("create", "shop", "--days", "nan"), "--days"),
        (("create", "shop", "--rate", "0"), "--rate"),
        (("rotate", "nothing", "--overlap", "1e9"), "8760"),
        (("revoke", "wp_abc_hunter2"), "not a complete key"),
    ],
)
def test_what_is_wrong_is_named_and_no_key_is_made(home, arguments, said):
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert "hunter2" not in refused.output
    assert run_json("list") == []


def test_a_key_for_a_type_that_there_is_not_is_refused(home):
    done = run("create", "shop", "--scope", "send:alart", "--scope", "read")
    assert done.exit_code == 2
    assert "there is no type alart; there are address-change, alert" in done.stderr.replace("\n", " ")
    assert run_json("list") == []
    assert "there is no type" not in run("create", "shop", "--scope", "send:alert").stderr


def test_a_key_whose_row_cannot_be_read_is_listed_and_not_valid_and_can_be_revoked(home):
    sound, damaged = run_json("create", "shop"), run_json("create", "till")
    with sqlite3.connect(Settings().home / "ledger.db") as database:
        database.execute("UPDATE api_keys SET scopes = '{oops' WHERE client = 'till'")
    states = {one["id"]: one["state"] for one in run_json("list")}
    assert states == {
        sound["id"]: "works",
        damaged["id"]: "not valid: its row in the ledger cannot be read",
    }
    assert damaged["id"] in run("list").stdout
    [finding] = damaged_keys_finding([damaged["id"]])
    assert (finding.ok, damaged["id"] in finding.found) == (False, True)
    for command in ("rotate", "revoke"):
        assert "cannot be read" in explained(run(command, damaged["id"]).exception)
    with sqlite3.connect(Settings().home / "ledger.db") as database:
        [[ended]] = database.execute("SELECT revoked_at IS NOT NULL FROM api_keys WHERE client = 'till'")
    assert ended


def test_no_keys_yet_says_how_to_make_one(home):
    assert "waypost keys create my-app" in run("list").stdout
    assert "waypost keys create my-app" in keys_finding(0).advice
    assert [keys_finding(count).found for count in (1, 2)] == ["1 active API key", "2 active API keys"]


def test_a_misspelt_setting_is_told_whatever_is_asked_for(home, monkeypatch):
    monkeypatch.setenv("WAYPOST_DATABSE_URL", "postgresql://elsewhere")
    done = run("list", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert done.stderr.startswith(
        "warning: WAYPOST_DATABSE_URL is not a setting; did you mean WAYPOST_DATABASE_URL?"
    )


def test_a_key_for_tests_sends_only_to_its_addresses_and_rotation_keeps_them(home):
    made = run_json("create", "shop", "--only-to", "Ada@shop.example, @TEAM.example,+49 170 1234512")
    assert made["only_to"] == ["+491701234512", "@team.example", "ada@shop.example"]
    assert run_json("rotate", made["id"])["only_to"] == made["only_to"]
    assert "only to" in run("list").stdout.splitlines()[0]
    for wrong in ("nobody", "@", ","):
        done = run("create", "shop", "--only-to", wrong)
        assert done.exit_code == 2
        assert "--only-to" in done.stderr
