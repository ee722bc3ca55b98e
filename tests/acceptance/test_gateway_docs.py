"""What docs/gateway.md shows is run as it is shown, against `waypost up`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from processes import REPOSITORY, environment

PAGE = (REPOSITORY / "docs" / "gateway.md").read_text()


def shown(language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def run(up, *command: str) -> str:
    """What a command of the page prints. The gateway of these tests has a port of its own."""
    ours = [part.replace("http://127.0.0.1:8080", up.here.gateway) for part in command]
    path = f"{Path(sys.executable).parent}:{environment(up.home)['PATH']}"
    done = subprocess.run(
        ours, env=environment(up.home, PATH=path), cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_post_and_what_becomes_of_it(up):
    decode = json.JSONDecoder()
    text, answers = run(up, "sh", "-euc", shown("sh")).strip(), []
    while text:
        answer, end = decode.raw_decode(text)
        answers.append(answer)
        text = text[end:].strip()
    accepted, listed, checked = answers
    assert accepted["state"] == "accepted"
    assert [one["id"] for one in listed["notifications"]] == [accepted["id"]]
    assert checked["result"] in ("unknown", "wrong")


def test_the_python_example_runs(up):
    key = run(
        up, "waypost", "keys", "create", "shop", "--scope", "send", "--scope", "read", "--scope", "manage"
    )
    told = run(up, sys.executable, "-c", f"KEY = {key.strip()!r}\n{shown('python')}")
    assert told.split() != []
