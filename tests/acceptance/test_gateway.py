"""The gateway of `waypost up`, as an application's developer uses it: a key, a post, the mail."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import httpx
import pytest
from support.processes import Up, eventually, waypost
from support.requests import order

SIGNUP = {
    "type": "signup-verification",
    "recipient": {"id": "door", "email": "door@a.example"},
    "data": {"product": "Harbour", "verify_url": "https://app.example/verify"},
}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def door(up: Up) -> Iterator[httpx.Client]:
    """HTTP to the gateway, without a key."""
    with httpx.Client(base_url=up.here.gateway, timeout=30) as client:
        yield client


def made(up: Up, client: str, *options: str) -> str:
    """A new key, as `KEY=$(waypost keys create ...)` gets it."""
    done = up.run("keys", "create", client, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_code_posted_is_mailed_and_checked_once_and_a_revoked_key_opens_nothing(up, door):
    key = made(up, "harbour")
    answer = door.post("/v1/notifications", json=SIGNUP, headers=bearer(key))
    assert (answer.status_code, answer.json()["state"]) == (202, "accepted"), answer.text
    [mail] = eventually(lambda: up.mails("door@a.example"))
    code = "".join(re.findall(r"\b\d{3} ?\d{3}\b", mail.get_body(("plain",)).get_content())[0].split())
    asked = {"recipient": "door", "code": code}
    checked = [door.post("/v1/verifications/check", json=asked, headers=bearer(key)).json() for _ in range(2)]
    assert checked == [{"result": "verified"}, {"result": "used"}]
    where = f"/v1/notifications/{answer.json()['id']}"
    assert eventually(lambda: door.get(where, headers=bearer(key)).json()["state"] == "sent")
    revoked = up.run("keys", "revoke", key)
    assert (revoked.returncode, revoked.stdout) == (0, f"key {key.split('_')[1]} (client harbour): revoked\n")
    time.sleep(1)
    assert door.get(where, headers=bearer(key)).status_code == 401


def test_a_key_that_is_wrong_or_expired_is_refused_alike(up, door):
    brief = made(up, "harbour", "--days", "0.001")  # 86 s
    assert door.get("/v1/types", headers=bearer(brief)).status_code == 200
    wrong = door.get("/v1/types", headers=bearer(brief[:-1] + ("a" if brief[-1] != "a" else "b")))
    id = brief.split("_")[1]
    rotated = up.run("keys", "rotate", id, "--overlap", "0.0001", "--json")  # 0.4 s
    time.sleep(1.5)
    ended = door.get("/v1/types", headers=bearer(brief))
    assert (wrong.status_code, ended.status_code) == (401, 401)
    assert wrong.json() == ended.json()
    new = json.loads(rotated.stdout)
    assert door.get("/v1/types", headers=bearer(new["key"])).status_code == 200
    assert new["client"] == "harbour"
    assert new["expires_at"] is not None  # the successor of a key that expires expires too


def test_what_the_command_line_knows_is_what_the_gateway_accepted(up, door):
    key = made(up, "lister", "--scope", "send:order-confirmation", "--rate", "50")
    body = {"type": "order-confirmation", **order("G-1")}
    id = door.post("/v1/notifications", json=body, headers=bearer(key)).raise_for_status().json()["id"]
    told = json.loads(up.run("explain", id, "--json").stdout)
    assert (told["id"], told["type"]) == (id, "order-confirmation")
    listed = {one["client"]: one for one in json.loads(up.run("keys", "list", "--json").stdout)}
    assert (listed["lister"]["scopes"], listed["lister"]["rate"]) == (["send:order-confirmation"], 50)
    assert key not in up.run("keys", "list").stdout
    forbidden = door.post("/v1/notifications", json=SIGNUP, headers=bearer(key))
    assert forbidden.status_code == 403


def test_doctor_knows_the_gateway_and_its_keys(up):
    made(up, "harbour")
    found = {one["what"]: one for one in json.loads(up.run("doctor", "--json").stdout)}
    assert (found["gateway"]["ok"], found["gateway"]["found"]) == (True, f"{up.here.gateway} is ready")
    assert found["keys"]["ok"]
    assert re.match(r"\d+ active API keys?", found["keys"]["found"])


def test_without_a_ledger_it_is_said_how_to_make_one(tmp_path):
    done = waypost(tmp_path / "home", "keys", "create", "shop")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("waypost: there is no ledger yet")
