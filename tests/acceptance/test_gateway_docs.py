"""Runs the examples on the gateway's pages as they are shown, against `waypost up`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from support.processes import REPOSITORY, environment, eventually


def shown(page: str, language: str) -> str:
    text = (REPOSITORY / "docs" / page).read_text()
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def manager(up) -> str:
    scopes = ("--scope", "send", "--scope", "read", "--scope", "manage")
    return run(up, "waypost", "keys", "create", "shop", *scopes).strip()


def run(up, *command: str, **others: str) -> str:
    """The output of a command of the page, run against the port of these tests' gateway."""
    ours = [part.replace("http://127.0.0.1:8080", up.here.gateway) for part in command]
    path = f"{Path(sys.executable).parent}:{environment(up.home)['PATH']}"
    done = subprocess.run(
        ours,
        env=environment(up.home, PATH=path, **others),
        cwd=up.home,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_post_and_what_becomes_of_it(up):
    decode = json.JSONDecoder()
    text, answers = run(up, "sh", "-euc", shown("gateway.md", "sh")).strip(), []
    while text:
        answer, end = decode.raw_decode(text)
        answers.append(answer)
        text = text[end:].strip()
    accepted, listed, checked, batch, cancelled = answers
    assert accepted["state"] == "accepted"
    assert [one["id"] for one in listed["notifications"]] == [accepted["id"]]
    assert checked["result"] in ("unknown", "wrong")
    assert [one["status"] for one in batch["results"]] == [202, 422]
    assert cancelled == {"id": batch["results"][0]["id"], "state": "cancelled"}


def test_the_python_example_runs(up):
    told = run(up, sys.executable, "-c", shown("gateway.md", "python"), KEY=manager(up))
    assert told.split() != []


def test_a_webhook_is_made_as_it_is_shown(up):
    made = json.loads(run(up, "sh", "-euc", shown("webhooks.md", "sh"), KEY=manager(up)))
    assert made["secret"].startswith("whsec_")
    assert made["states"] == ["sent", "failed"]


def test_a_mail_is_submitted_as_it_is_shown(up):
    host, port = up.submission.split(":")
    mailing = shown("submission.md", "python").replace('"127.0.0.1", 2587', f'"{host}", {port}')
    run(up, sys.executable, "-c", mailing, KEY=manager(up))
    assert eventually(lambda: [mail["Subject"] for mail in up.mails("ada@buyer.example")].count("Hello") == 1)


def test_the_examples_of_recipients_run(up):
    key = manager(up)
    (up.home / "people.csv").write_text("Kunde;email\n1;ada@buyer.example\n")
    (up.home / "bounces.csv").write_text("address\nnobody@buyer.example\n")
    told = run(up, "sh", "-euc", shown("recipients.md", "sh"), KEY=key)
    known, end = json.JSONDecoder().raw_decode(told)
    further = {one["address"]: one["verified"] for one in known["addresses"] if not one["main"]}
    assert further == {"ada@home.example": True, "+4930123456": False}
    imported, told = told[end:].split("\n", 1)
    assert imported == "1 recipient imported, no rows refused"
    chosen, end = json.JSONDecoder().raw_decode(told)
    assert (chosen["marketing"]["cadence"], chosen["product"]["channels"]) == ("never", ["email"])
    asked, rest = json.JSONDecoder().raw_decode(told[end:].strip())
    assert asked["state"] == "accepted"
    assert told[end:].strip()[rest:].strip() == "1 suppression imported, no rows refused"
    assert run(up, sys.executable, "-c", shown("recipients.md", "python"), KEY=key).strip() == (
        "monthly on 1 at 09:00"
    )
