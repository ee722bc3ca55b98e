"""`waypost keys`: what it prints for people and for scripts, and what it refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner, Result

from deployments.doctor.gateway import keys_finding
from waypost.cli import app
from waypost.cli.errors import explained
from waypost.config.settings import Settings, prepare_home
from waypost.gateway.auth import api_keys


@pytest.fixture
def home() -> None:
    prepare_home(Settings())
    assert CliRunner().invoke(app, ["db", "upgrade"]).exit_code == 0


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def run_json(*arguments: str):
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_what_create_prints_is_the_key_alone_and_the_rest_is_said_beside_it(home):
    done = run("create", "shop")
    assert api_keys.parse_key(done.stdout.removesuffix("\n"))
    assert done.stderr.startswith("for shop, which may: send, read. It is shown this once")


def test_a_list_tells_everything_but_the_secret(home):
    made = run_json("create", "shop", "--scope", "read", "--rate", "5", "--days", "30")
    assert made["key"].startswith(f"wp_{made['id']}_")
    [listed] = run_json("list")
    assert {name: made[name] for name in listed} == listed
    head, line = run("list").stdout.splitlines()
    assert head.split() == ["id", "client", "scopes", "limit", "created", "(UTC)", "state"]
    assert line.split()[:4] == [made["id"], "shop", "read", "5/s"]
    assert made["key"].split("_", 2)[2] not in line


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
    assert run("revoke", made["key"]).stdout == f"{made['id']} of shop is revoked\n"
    assert run("revoke", made["id"]).exit_code == 0
    refused = run("rotate", made["id"])
    assert refused.exit_code == 1
    assert explained(refused.exception) == (
        f"{made['id']} no longer works: create another with `waypost keys create shop`"
    )
    assert len(run_json("list")) == 1


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_id_that_nobody_has_is_told(home, command):
    refused = run(command, "nothing")
    assert refused.exit_code == 1
    assert explained(refused.exception) == "there is no key nothing; `waypost keys list` shows them"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "Shop"), "a client is small letters"),
        (("create", "shop", "--scope", "sned"), "there is no scope 'sned'"),
        (("create", "shop", "--days", "1e12"), "36500"),
        (("create", "shop", "--days", "nan"), "--days"),
        (("create", "shop", "--rate", "0"), "--rate"),
        (("rotate", "nothing", "--overlap", "1e9"), "8760"),
        (("revoke", "wp_abc_hunter2"), "no whole key"),
    ],
)
def test_what_is_wrong_is_named_and_no_key_is_made(home, arguments, said):
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert "hunter2" not in refused.output
    assert run_json("list") == []


def test_a_type_that_there_is_not_is_warned_of(home):
    done = run("create", "shop", "--scope", "send:alart")
    assert done.exit_code == 0
    assert "there is no type alart (there are alert, " in done.stderr
    assert "there is no type" not in run("create", "shop", "--scope", "send:alert").stderr


def test_no_keys_yet_says_how_to_make_one(home):
    assert "waypost keys create my-app" in run("list").stdout
    assert "waypost keys create my-app" in keys_finding(0).advice
    assert [keys_finding(count).found for count in (1, 2)] == ["1 API key works", "2 API keys work"]


def test_a_misspelt_setting_is_told_whatever_is_asked_for(home, monkeypatch):
    monkeypatch.setenv("WAYPOST_DATABSE_URL", "postgresql://elsewhere")
    done = run("list", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert done.stderr.startswith(
        "not taken: WAYPOST_DATABSE_URL is not a setting; did you mean WAYPOST_DATABASE_URL?"
    )
