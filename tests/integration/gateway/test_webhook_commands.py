"""`waypost webhooks`: the same webhooks as over HTTP, from the command line."""

import asyncio
import json

import pytest
import sqlalchemy as sa
from support.processes import waypost
from support.rings import DATA_KEYS
from typer.testing import CliRunner

from waypost.cli.webhooks import app
from waypost.ledger.database.tables import api_keys
from waypost.ledger.records import webhooks
from waypost.system.clock import now

pytestmark = pytest.mark.anyio

URL = "https://shop.example/hook"
KEY = "a key of sixteen or more"
KEY_OF_SHOP = {"id": "a", "client": "shop", "scopes": [], "created_at": now(), "secret_hash": b"a"}


@pytest.fixture
def run(ledger, database, tmp_path):
    """`waypost webhooks ...` over the test's ledger."""

    async def run(*arguments, **more):
        settings = {
            "WAYPOST_DATABASE_URL": database,
            "WAYPOST_DATA_KEYS": DATA_KEYS,
            "WAYPOST_SECRET_KEY": KEY,
            **more,
        }
        return await asyncio.to_thread(waypost, tmp_path / "home", "webhooks", *arguments, **settings)

    return run


async def test_a_webhook_from_its_making_to_its_end(ledger, run):
    await ledger.write(lambda connection: connection.execute(sa.insert(api_keys), KEY_OF_SHOP))
    made = json.loads((await run("create", "shop", URL, "--state=sent", "--json")).stdout)
    assert (made["client"], made["states"], made["secret"][:6]) == ("shop", ["sent"], "whsec_")
    rotated = await run("rotate", made["id"])
    assert rotated.stdout.startswith("whsec_")
    assert rotated.stdout.strip() != made["secret"]
    [listed] = json.loads((await run("list", "--client=shop", "--json")).stdout)
    assert (listed["id"], listed["url"], listed["state"]) == (made["id"], URL, "works")
    assert "secret" not in listed
    assert (await run("delete", made["id"])).returncode == 0
    assert await webhooks.every(ledger) == []
    assert "no webhooks yet" in (await run("list")).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "shop", "https://10.0.0.1/x"), "WAYPOST_WEBHOOKS_ALLOW_PRIVATE"),
        (("create", "shop", URL, "--state=opened"), "opened"),
        (("create", "Shop!", URL), "small letters"),
        (("rotate", "shop"), "ID: not an id"),
    ],
)
def test_what_cannot_be_asked_is_told(arguments, said):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


async def test_a_webhook_that_there_is_not_is_told_in_a_line(run):
    done = await run("delete", "0199a000-0000-7000-8000-000000000000")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "waypost webhooks list" in done.stderr
