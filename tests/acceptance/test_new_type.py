"""A type that is added or changed beside a running worker: every command says which worker to restart."""

from __future__ import annotations

import json
import time

import pytest
from support.processes import eventually, start, waypost

REQUEST = {
    "recipient": {"id": "bob", "email": "bob@buyer.example"},
    "data": {"reference": "8", "url": "https://track.example/8"},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """`waypost up` in a project of its own."""
    folder = tmp_path_factory.mktemp("work")
    assert waypost(folder / "home", "init", "shop").returncode == 0
    started = start(folder / "shop" / ".waypost")
    yield started
    started.stop()


def add(project, name):
    """Copy the project's type under another name."""
    for kind in ("flows/{}.py", "templates/{}"):
        old, new = "parcel_shipped", name
        if kind.startswith("templates"):
            old, new = "parcel-shipped", name.replace("_", "-")
        source, target = project / kind.format(old), project / kind.format(new)
        if source.is_dir():
            target.mkdir(parents=True)
            for file in source.iterdir():
                (target / file.name).write_bytes(file.read_bytes())
        else:
            text = source.read_text().replace("parcel-shipped", name.replace("_", "-"))
            target.write_text(text.replace("parcel_shipped", name))


@pytest.mark.long
def test_a_new_type_that_was_deployed_beside_a_running_worker_is_told_with_the_worker(shop):
    add(shop.home.parent, "back_in_stock")
    deployed = shop.run("deploy")
    why = f"-{shop.process.pid} started before flows/back_in_stock.py"
    assert f"{why} changed: restart `waypost up` or `waypost worker`" in deployed.stderr, deployed
    began = time.monotonic()
    done, summary = shop.send("back-in-stock", REQUEST)
    assert time.monotonic() - began < 30
    assert (done.returncode, f"{why} and does not know it: restart" in summary["trouble"]) == (1, True)
    [waiting] = json.loads(shop.run("list", "--json").stdout)["notifications"]
    explained = json.loads(shop.run("explain", waiting["id"], "--json").stdout)
    assert f"{why} and does not know it" in explained["stopped"]
    eventually(lambda: "started before flows/back_in_stock.py changed" in (shop.home / "up.log").read_text())


@pytest.mark.long
def test_a_changed_type_is_told_by_the_log_and_by_deploy_and_still_goes_out(shop):
    file = shop.home.parent / "flows" / "parcel_shipped.py"
    file.write_text(file.read_text() + "\n")
    assert "flows/parcel_shipped.py changed: restart" in shop.run("deploy").stderr
    done, _ = shop.send("parcel-shipped", REQUEST)
    assert done.returncode == 0, done.stderr
    eventually(lambda: "started before flows/parcel_shipped.py changed" in (shop.home / "up.log").read_text())
