"""Prefect's own ways to deploy, as docs/prefect.md shows them, beside `waypost up`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from chaos.servers import end, launch
from support.processes import REPOSITORY, environment, eventually
from support.requests import order

pytestmark = pytest.mark.long
PAGE = (REPOSITORY / "docs" / "prefect.md").read_text()


def file_shown(name):
    """A file as the page shows it."""
    [text] = re.findall(rf"^`{name}`\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return text


@pytest.fixture(scope="module")
def env(up, tmp_path_factory):
    """The environment of a terminal beside `waypost up`, with the providers that a worker there has."""
    assert up.here.mailbox
    more = {
        "PREFECT_API_URL": up.here.api,
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect-home")),
        "WAYPOST_SMTP_URL": up.here.mailbox.smtp_url,
        "PYTHONPATH": str(REPOSITORY),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return environment(up.home, **more)


def run(env, *command, cwd=REPOSITORY):
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def deployed(up, name, flow="order-confirmation"):
    found = httpx.get(f"{up.here.api}/deployments/name/{flow}/{name}", timeout=30)
    return found.json() if found.is_success else None


def sent(up, deployment, key):
    """Trigger a deployment, and wait until its mail is there."""
    url = f"{up.here.api}/deployments/{deployment['id']}/create_flow_run"
    asked = {"parameters": {"requests": [order(key, email=f"{key}@a.example")]}}
    ended = up.finished(httpx.post(url, json=asked, timeout=30))
    assert ended["state"]["type"] == "COMPLETED", ended["state"]
    return eventually(lambda: up.mails(f"{key}@a.example"))


def test_prefect_deploy_works_beside_waypost_deploy(up, env):
    assert "\nprefect deploy --all\n```" in PAGE
    up.run("hold", "message")
    eventually(lambda: deployed(up, "message", "message")["paused"])
    try:
        run(env, "prefect", "--no-prompt", "deploy", "--all")
        assert (
            deployed(up, "order-confirmation")["entrypoint"]
            == "flows/order_confirmation.py:order_confirmation"
        )
        assert sent(up, deployed(up, "order-confirmation"), "own-command")
        told = {one["what"]: one for one in json.loads(up.run("doctor", "--json").stdout)}
        assert told["deployments"]["level"] == "note", told["deployments"]
        eventually(lambda: deployed(up, "message", "message")["paused"])
    finally:
        up.run("release", "message")
        assert up.run("deploy").returncode == 0
    assert deployed(up, "order-confirmation")["entrypoint"].startswith("waypost.flows.")
    eventually(lambda: not deployed(up, "message", "message")["paused"])


def test_a_second_deployment_of_a_type(up, env, tmp_path):
    (tmp_path / "second.py").write_text(file_shown("second.py"))
    run(env, "python", "second.py", cwd=tmp_path)
    assert sent(up, deployed(up, "second"), "second")


def test_a_type_is_served_without_a_pool(up, env, tmp_path):
    (tmp_path / "served.py").write_text(file_shown("served.py"))
    serving = launch(["python", "served.py"], env, tmp_path / "log", cwd=tmp_path)
    try:
        found = eventually(lambda: deployed(up, "served"))
        assert sent(up, found, "served"), (tmp_path / "log").read_text()
    finally:
        end(serving)
