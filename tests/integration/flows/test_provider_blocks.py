"""Providers that a person keeps as blocks in Prefect, on a real server."""

from __future__ import annotations

import asyncio
import logging
import shutil

import pytest
from support.ledger import Note
from support.note_flow import note
from support.prefect_blocks import blocks_of, loader_of
from support.requests import order

from waypost import Recipient, Request
from waypost.channels.channel import ChannelUnavailable
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.deployments import deploy
from waypost.deployments.doctor.providers import provider_findings
from waypost.deployments.processes.flush import flush_prefect
from waypost.deployments.processes.worker import serve
from waypost.deployments.registry import find
from waypost.ledger.intake import accept
from waypost.tasks.providers.provider_block import WaypostProvider

pytestmark = pytest.mark.anyio

PASSWORD = "canary-hunter2"


@pytest.fixture
async def blocks(client):
    """A server with the block type, and none of its blocks."""
    async with blocks_of(client, WaypostProvider, "waypost-provider") as made:
        yield made


@pytest.fixture
def settings(server, empty_ledger, tmp_path):
    made = Settings(home=tmp_path / "home", templates="tests/templates", sender="s@shop.de")
    made.home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_ledger, made.home / "ledger.db")
    return made


@pytest.fixture
async def runtime(settings):
    async with Runtime.open(settings) as opened:
        yield opened


def ask():
    return Request[Note](recipient=Recipient(id="r", email="r@a.example"), data=Note())


def mails(folder):
    return list((folder / "new").glob("*"))


async def test_what_is_deployed_can_be_filled_in_and_hides_the_url(client, blocks, undeployed):
    type = await client.read_block_type_by_slug("waypost-provider")
    await client.delete_block_type(type.id)
    await deploy.deploy(client, undeployed)
    type = await client.read_block_type_by_slug("waypost-provider")
    schema = await client.get_most_recent_block_schema_for_block_type(type.id)
    assert (type.name, schema.fields["required"]) == ("Waypost provider", ["url"])
    assert schema.fields["secret_fields"] == ["url", "secrets"]
    assert type.documentation_url
    assert "`webhook+https://host/path`" in schema.fields["properties"]["url"]["description"]
    assert "anyOf" not in str(schema.fields), "the form would ask whether a field is to be null"
    assert all(one["title"] and one["description"] for one in schema.fields["properties"].values())
    await blocks.create("ses", url=f"smtps://u:{PASSWORD}@mail.example")
    [shown] = await client.read_block_documents_by_type("waypost-provider", include_secrets=False)
    assert PASSWORD not in str(shown.data)


async def test_an_edit_in_the_ui_sends_asterisks_back_and_keeps_the_url(client, blocks, runtime, tmp_path):
    one = await blocks.create("files", url=f"maildir://{tmp_path}/mails", weight=2, allow_private=False)
    await blocks.edit(one, url="********", weight=5)
    await loader_of(runtime).look(client)
    assert runtime.providers.terms["files"].weight == 5
    assert (await note([ask()])).states == {"sent": 1}


async def test_mail_goes_through_a_block_on_its_terms(client, blocks, runtime, tmp_path):
    await blocks.create("files", url=f"maildir://{tmp_path}/mails", weight=3, rate=50, lanes=["normal"])
    await blocks.create("own", url=f"smtp://u:{PASSWORD}@mail.example", connections=7, kind=None, secrets="")
    await loader_of(runtime).look(client)
    assert [(one.name, one.permits.most) for one in runtime.providers.channels][1] == ("own", 7)
    assert runtime.providers.terms["files"].weight == 3
    assert runtime.providers.state("files").rate_limiter.per_second == 50
    assert (await note([ask()])).states == {"sent": 1}
    assert len(mails(tmp_path / "mails")) == 1


async def test_the_settings_come_first_and_keep_their_names(client, blocks, settings, tmp_path, caplog):
    mine = settings.model_copy(
        update={"providers": Settings(providers={"files": {"url": f"maildir://{tmp_path}/mine"}}).providers}
    )
    await blocks.create("files", url=f"maildir://{tmp_path}/theirs")
    await blocks.create("more", url=f"maildir://{tmp_path}/more")
    await blocks.create("smtp", url="smtp://mail.example")
    async with Runtime.open(mine) as runtime:
        await loader_of(runtime).look(client)
        assert [one.name for one in runtime.providers.channels] == ["files", "more"]
        assert (await note([ask()])).states == {"sent": 1}
    assert len(mails(tmp_path / "mine")) == 1
    assert "'files' is not used: a setting already uses that name" in caplog.text
    assert "'smtp' is not used: a setting already uses that name" in caplog.text


async def test_a_worker_takes_up_what_is_saved_while_it_runs(
    client, blocks, settings, tmp_path, monkeypatch, pool
):
    monkeypatch.setattr("waypost.deployments.processes.worker.HEARTBEAT_SECONDS", 1.0)
    stop, ready = asyncio.Event(), asyncio.Event()
    own = settings.model_copy(update={"work_pool": pool, "templates": Settings().templates})
    serving = asyncio.create_task(serve(own, stop, ready.set))
    await asyncio.wait_for(ready.wait(), 60)
    await blocks.create("files", url=f"maildir://{tmp_path}/mails")
    one = find("order-confirmation")
    async with asyncio.timeout(60):
        while not (await Runtime.current()).providers.channels:
            await asyncio.sleep(0.1)
        ledger = (await Runtime.current()).ledger
        await accept.accept(ledger, one.type, [one.request.validate_python(order("A-1"))])
        while not mails(tmp_path / "mails"):
            await asyncio.sleep(0.1)
    stop.set()
    await serving


async def test_prefect_writes_its_secrets_down_nowhere(client, server, blocks, runtime, tmp_path):
    await blocks.create("files", url=f"maildir://{tmp_path}/{PASSWORD}")
    await loader_of(runtime).look(client)
    assert (await note([ask()])).states == {"sent": 1}
    await flush_prefect()
    written = [path.read_bytes() for path in server.home.rglob("*") if path.is_file()]
    assert any(b"waypost-provider" in one for one in written), "the search is not vain"
    assert not any(PASSWORD.encode() in one for one in written)


WRONG = [
    ({"url": f"smtp://u:{PASSWORD}@h?nosuch=1"}, "unknown option 'nosuch'"),
    ({"url": PASSWORD}, "not a valid Apprise URL"),
    ({}, "url: missing"),
    ({"url": "smtp://h", "weight": PASSWORD}, "weight: not a whole number"),
    ({"url": "smtp://h", "lanes": [PASSWORD]}, "lanes.0: not one of 'urgent', 'normal' or 'bulk'"),
    ({"url": "smtp://h", "rate": 0}, "rate: has to be more than 0"),
    ({"url": "smtp://h", "secrets": f"whsec_{PASSWORD}"}, "secrets are for webhooks"),
    ({"url": f"json://{PASSWORD}", "connections": 3}, "connections are for mail servers only"),
    ({"url": "webhook+https://h.example/x", "secrets": f"whsec_{PASSWORD}"}, "a webhook's secret must be"),
]


@pytest.mark.parametrize(("form", "said"), WRONG)
async def test_one_that_is_wrong_is_named_once_without_its_secret_and_harms_no_other(
    client, blocks, runtime, tmp_path, caplog, form, said
):
    caplog.set_level(logging.DEBUG)
    await blocks.create("wrong", **form)
    await blocks.create("files", url=f"maildir://{tmp_path}/mails")
    looking = loader_of(runtime)
    for _ in range(2):
        await looking.look(client)
    told = [one.getMessage() for one in caplog.records if one.name == "waypost.providers"]
    assert len(told) == 1
    assert told[0].startswith("the Waypost provider block 'wrong' is not used: ")
    assert said in told[0]
    assert [one.name for one in runtime.providers.channels] == ["files"]
    assert PASSWORD not in caplog.text


async def test_a_name_that_prefect_takes_and_we_do_not_is_told(client, blocks, runtime, caplog):
    await blocks.create("-dashing", url="smtp://h")
    await loader_of(runtime).look(client)
    assert "'-dashing' is not used: a provider's name has at most" in caplog.text
    assert runtime.providers.channels == []


async def test_an_edit_is_taken_up_and_a_wrong_one_changes_nothing(client, blocks, runtime, tmp_path):
    looking = loader_of(runtime)
    one = await blocks.create("files", url=f"maildir://{tmp_path}/a", rate=5)
    await looking.look(client)
    before = runtime.providers.channels, runtime.providers.state("files")
    await looking.look(client)
    assert (runtime.providers.channels, runtime.providers.state("files")) == before
    await blocks.edit(one, url=f"maildir://{tmp_path}/b", rate=None)
    await looking.look(client)
    assert runtime.providers.state("files").rate_limiter is None
    await blocks.edit(one, url="nonsense")
    await looking.look(client)
    assert (await note([ask()])).states == {"sent": 1}
    assert len(mails(tmp_path / "b")) == 1


async def test_what_one_that_was_deleted_was_to_take_waits(client, blocks, runtime, tmp_path):
    one = await blocks.create("files", url=f"maildir://{tmp_path}/mails")
    await blocks.create("texts", url="json://localhost/{phone}", kind="sms")
    looking = loader_of(runtime)
    await looking.look(client)
    await client.delete_block_document(one.id)
    await looking.look(client)
    assert [one.name for one in runtime.providers.channels] == ["files", "texts"], "steps are counted"
    assert (await note([ask()])).states == {"deferred": 1}
    await blocks.create("files", url=f"maildir://{tmp_path}/mails")
    await looking.look(client)
    assert (await note([ask()])).states == {"sent": 1}


async def test_a_run_in_a_process_of_its_own_asks_by_itself(blocks, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("WAYPOST_HOME", str(settings.home))
    monkeypatch.setenv("WAYPOST_TEMPLATES", str(settings.templates))
    await blocks.create("files", url=f"maildir://{tmp_path}/mails")
    try:
        assert (await note([ask()])).states == {"sent": 1}
    finally:
        await (await Runtime.current()).close()
        Runtime._by_loop.pop(asyncio.get_running_loop())
    assert len(mails(tmp_path / "mails")) == 1


async def test_doctor_lists_them_with_what_is_wrong(blocks, settings, tmp_path):
    (tmp_path / "mails").mkdir()
    await blocks.create("files", url=f"maildir://{tmp_path}/mails")
    await blocks.create("wrong", url=f"smtp://u:{PASSWORD}@h?nosuch=1")
    found = {one.what: one for one in await provider_findings(settings)}
    assert found["files"].ok
    assert "'wrong' is not used: unknown option 'nosuch'" in found["wrong"].found
    assert "in the Prefect UI, under Blocks" in found["wrong"].advice
    assert PASSWORD not in str(found)


async def test_a_block_saved_from_code_is_one_like_any_other(client, blocks, runtime, tmp_path):
    kept = WaypostProvider(url=f"maildir://{tmp_path}/mails", lanes=["urgent"])
    await kept.asave("files", client=client)
    await loader_of(runtime).look(client)
    assert runtime.providers.terms["files"].lanes == {"urgent"}
    with pytest.raises(ValueError, match="weight") as refused:
        WaypostProvider(url=PASSWORD, weight=0)
    assert PASSWORD not in str(refused.value) + repr(kept)


async def test_blocks_that_may_not_be_read_are_told_and_known_ones_stay(
    client, blocks, runtime, tmp_path, monkeypatch, caplog
):
    import httpx

    await blocks.create("files", url=f"maildir://{tmp_path}/mails")
    looking = loader_of(runtime)
    await looking.look(client)

    async def forbidden(*_, **__):
        request = httpx.Request("GET", "http://h")
        raise httpx.HTTPStatusError("", request=request, response=httpx.Response(403, request=request))

    with monkeypatch.context() as patched:
        patched.setattr(client, "read_block_documents_by_type", forbidden)
        await looking.look(client)
    assert "cannot read provider blocks from Prefect (HTTP 403)" in caplog.text
    assert [one.name for one in runtime.providers.channels] == ["files"]


async def test_a_block_sends_a_test_message_and_says_what_became_of_it(
    blocks, settings, tmp_path, monkeypatch
):
    monkeypatch.setenv("WAYPOST_HOME", str(settings.home))
    monkeypatch.setenv("WAYPOST_SENDER", "Shop <s@shop.de>")
    await blocks.create("files", url=f"maildir://{tmp_path}/mails")
    saved = await WaypostProvider.aload("files")
    assert (await saved.send_test("ada@a.example")).startswith("accepted")
    [mail] = mails(tmp_path / "mails")
    assert "The provider files delivers" in mail.read_text()


@pytest.mark.parametrize(
    "form", [{"url": f"smtp://u:{PASSWORD}@127.0.0.1:1"}, {"url": f"json://{PASSWORD}:x"}]
)
async def test_a_block_that_cannot_send_says_why_without_its_secret(settings, monkeypatch, form):
    monkeypatch.setenv("WAYPOST_HOME", str(settings.home))
    monkeypatch.setenv("WAYPOST_SENDER", "Shop <s@shop.de>")
    with pytest.raises((ChannelUnavailable, ValueError)) as error:
        await WaypostProvider(**form).send_test("ada@a.example")
    assert PASSWORD not in str(error.value)
