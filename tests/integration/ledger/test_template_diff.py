"""`waypost templates diff`: what a change to templates does to the notifications of the ledger."""

import json
import shutil
import subprocess
from time import process_time

import pytest
from anyio.to_thread import run_sync
from support.ledger import change, run_sql
from support.requests import order
from support.rings import DATA_KEYS
from support.templates import mjml
from typer.testing import CliRunner

from waypost import Recipient, Request
from waypost.cli import app
from waypost.config.settings import Settings
from waypost.deployments import registry
from waypost.flows.order_confirmation import TYPE as ORDER
from waypost.flows.order_confirmation import Order
from waypost.flows.signup_verification import TYPE as SIGNUP
from waypost.ledger.intake import accept
from waypost.ledger.operations.kept_facts import PAGE, Defaults, newest

pytestmark = pytest.mark.anyio
SHIPPED = Settings().template_folders[-1]
DEFAULTS = Defaults("en", "UTC")


def orders(count):
    asked = [order(f"A-{number}") for number in range(count)]
    return [Request[Order](recipient=Recipient(**one["recipient"]), data=one["data"]) for one in asked]


@pytest.fixture
def folders(tmp_path, monkeypatch, database):
    """OLD and NEW, both as shipped, in a project of their own."""
    monkeypatch.setenv("WAYPOST_DATABASE_URL", database)
    monkeypatch.setenv("WAYPOST_DATA_KEYS", DATA_KEYS)
    for name in ("old", "new"):
        shutil.copytree(SHIPPED, tmp_path / name)
    return tmp_path / "old", tmp_path / "new"


async def diff(*arguments, status=0):
    done = await run_sync(lambda: CliRunner().invoke(app, ["templates", "diff", *map(str, arguments)]))
    assert done.exit_code == status, (done.output, done.exception)
    return done.stdout


async def diff_json(*arguments, status=0):
    return json.loads(await diff(*arguments, "--json", status=status))


def write(folder, name, text):
    (folder / "order-confirmation" / name).write_text(text)


async def test_the_same_templates_are_identical(ledger, folders):
    await accept.accept(ledger, ORDER, orders(3))
    found = await diff_json(*folders)
    [row] = found["locales"]
    assert (row["type"], row["notifications"], row["identical"]) == ("order-confirmation", 3, 3)
    assert row["old_bytes"] == row["new_bytes"] > 1000
    assert (found["compared"], found["failures"], found["differences"]) == (3, 0, [])


async def test_a_changed_text_is_told_with_its_values_masked(ledger, folders):
    await accept.accept(ledger, ORDER, orders(2))
    write(folders[1], "subject.txt", "News of {{ order_id }}")
    found = await diff_json(*folders)
    [row] = found["locales"]
    assert (row["text_changed"], row["link_changed"], row["identical"]) == (2, 0, 0)
    told = found["differences"][0]
    assert (told["part"], told["new"]) == ("subject.txt", "News of …")
    assert "A-" not in json.dumps(found["differences"])


async def test_a_notification_that_would_fail_is_named_and_the_status_is_1(ledger, folders):
    await accept.accept(ledger, ORDER, orders(2))
    write(folders[1], "short.txt", "{{ oder_id }}")
    found = await diff_json(*folders, status=1)
    assert (found["failures"], found["locales"][0]["variable_missing"]) == (2, 2)
    assert found["differences"][0]["new"] == (
        "templates/order-confirmation/short.txt, line 1: 'oder_id' is undefined"
    )
    assert "2 would fail with the new templates" in await diff(*folders, "--last", 2, status=1)


async def test_revisions_of_the_project_are_compared(ledger, folders, tmp_path, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(SHIPPED, project / "templates")
    monkeypatch.setenv("WAYPOST_PROJECT", str(project))

    def git(*arguments):
        named = ["-c", "user.name=a", "-c", "user.email=a@a.example"]
        subprocess.run(["git", *named, *arguments], cwd=project, check=True, capture_output=True)

    git("init", "-b", "main")
    for text in ("One {{ order_id }}", "Two {{ order_id }}"):
        write(project / "templates", "subject.txt", text)
        git("add", "-A")
        git("commit", "-m", text)
    await accept.accept(ledger, ORDER, orders(1))
    found = await diff_json("HEAD~1", "HEAD")
    assert [(one["old"], one["new"]) for one in found["differences"]] == [("One …", "Two …")]
    done = await run_sync(lambda: CliRunner().invoke(app, ["templates", "diff", "HEAD", "nowhere"]))
    assert "nowhere is neither a folder nor a git revision" in str(done.exception)


async def test_codes_and_links_have_placeholders(ledger, folders):
    data = {"verify_url": "https://shop.example/verify", "product": "Shop"}
    asked = Request[SIGNUP.facts](recipient=Recipient(id="ada", email="ada@a.example"), data=data)
    await accept.accept(ledger, SIGNUP, [asked])
    assert (await diff_json(*folders, "--type", "signup-verification"))["locales"][0]["identical"] == 1


TIPS = '''
from datetime import timedelta
from typing import Annotated

from prefect import flow
from waypost import Category, Facts, NotificationType, Sensitive, Text


class Tip(Facts):
    account: Annotated[Text, Sensitive()]


TYPE = NotificationType(
    name="tip", facts=Tip, category=Category.TRANSACTIONAL, route=("email",), deadline=timedelta(hours=1)
)


@flow(name="tip")
async def tip():
    """A type of its own."""
'''


async def test_a_sensitive_fact_is_kept_and_a_placeholder_is_rendered(ledger, folders, tmp_path, monkeypatch):
    """The new subject tells the fact letter by letter: a mask of the value would not find it."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "tip.py").write_text(TIPS)
    monkeypatch.setenv("WAYPOST_PROJECT", str(tmp_path))
    for folder in folders:
        shutil.copytree(folder / "welcome", folder / "tip")
        for part in ("subject.txt", "body.txt", "short.txt"):
            (folder / "tip" / part).write_text("Hello")
        (folder / "tip" / "body.mjml").write_text(mjml("Hello"))
    (folders[1] / "tip" / "subject.txt").write_text("{{ account | list | join(' ') }}")
    registry._found.cache_clear()
    try:
        tip = registry.find("tip").type
        asked = Request[tip.facts](recipient=Recipient(email="x@y.example"), data={"account": "kxqzj"})
        await accept.accept(ledger, tip, [asked])
        [kept] = [one async for one in newest(ledger, ["tip"], 1, DEFAULTS)]
        assert kept.data == {"account": "kxqzj"}
        found = await diff_json(*folders, "--type", "tip")
    finally:
        registry._found.cache_clear()
    [told] = found["differences"]
    assert (told["old"], told["new"]) == ("Hello", "[ a c c o u n t ]")


async def test_the_newest_are_read_a_page_at_a_time_without_those_that_were_forgotten(ledger):
    receipts = await accept.accept(ledger, ORDER, orders(PAGE + 5))
    found = [one.id async for one in newest(ledger, [ORDER.name], PAGE + 3, DEFAULTS)]
    assert found == sorted((one.id for one in receipts), reverse=True)[: PAGE + 3]
    await change(ledger, named={})
    assert [one async for one in newest(ledger, [ORDER.name], 10, DEFAULTS)] == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_damaged_row_is_left_out(ledger):
    await accept.accept(ledger, ORDER, orders(2))
    await run_sql(ledger, "UPDATE notifications SET data = x'ff00' WHERE recipient_key LIKE '%A-1%'")
    assert len([one async for one in newest(ledger, [ORDER.name], 10, DEFAULTS)]) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_thousand_take_less_than_five_seconds(ledger, folders):
    await accept.accept(ledger, ORDER, orders(1000))
    write(folders[1], "subject.txt", "News of {{ order_id }}")
    began = process_time()
    found = await diff_json(*folders)
    assert found["compared"] == 1000
    assert process_time() - began < 5, "of a processor: others may use the machine too"
