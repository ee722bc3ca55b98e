"""Brands that a person keeps as blocks in Prefect, on a real server."""

from __future__ import annotations

import asyncio
import shutil
from email import message_from_bytes

import pytest
from support.ledger import Note
from support.note_flow import note
from support.prefect_blocks import blocks_of, loader_of

from waypost import Recipient, Request
from waypost.config.mail import senders_of_brands
from waypost.config.settings import Settings
from waypost.delivery.added_brands import all_brands
from waypost.delivery.runtime import Runtime
from waypost.deployments import deploy
from waypost.deployments.doctor.providers import provider_findings
from waypost.deployments.processes import gateway
from waypost.tasks.brands.brand_block import WaypostBrand

pytestmark = pytest.mark.anyio
SENDER = "Acme <no-reply@acme.test>"


@pytest.fixture
async def blocks(client):
    """A server with the block type, and none of its blocks."""
    async with blocks_of(client, WaypostBrand, "waypost-brand") as made:
        yield made


@pytest.fixture
def settings(server, empty_ledger, tmp_path):
    providers = {
        "files": {"url": f"maildir://{tmp_path}/mails"},
        "other": {"url": f"maildir://{tmp_path}/other"},
    }
    made = Settings(
        home=tmp_path / "home", templates="tests/templates", sender="s@shop.de", providers=providers,
        brands={"shop": {"sender": "Shop <s@shop.de>"}},
    )  # fmt: skip
    made.home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_ledger, made.home / "ledger.db")
    return made


@pytest.fixture
async def runtime(settings):
    async with Runtime.open(settings) as opened:
        yield opened


def ask(brand="acme"):
    return Request[Note](recipient=Recipient(id="r", email="r@a.example"), data=Note(), brand=brand)


def mails(tmp_path, folder="mails"):
    return [message_from_bytes(one.read_bytes()) for one in (tmp_path / folder / "new").glob("*")]


async def test_what_is_deployed_can_be_filled_in(client, blocks, undeployed):
    type = await client.read_block_type_by_slug("waypost-brand")
    await client.delete_block_type(type.id)
    await deploy.deploy(client, undeployed)
    type = await client.read_block_type_by_slug("waypost-brand")
    schema = await client.get_most_recent_block_schema_for_block_type(type.id)
    assert (type.name, schema.fields["required"]) == ("Waypost brand", ["sender"])
    assert "anyOf" not in str(schema.fields), "the form would ask whether a field is to be null"
    assert all(one["title"] and one["description"] for one in schema.fields["properties"].values())


async def test_a_mail_is_of_the_brand_with_its_sender_its_words_and_its_providers(
    client, blocks, runtime, tmp_path
):
    await blocks.create(
        "acme", sender=SENDER, reply_to="help@acme.test", providers={"email": ["other"]}, logo=""
    )
    await loader_of(runtime).look(client)
    assert (await note([ask()])).states == {"sent": 1}
    [mail] = mails(tmp_path, "other")
    assert (mail["From"], mail["Reply-To"]) == (SENDER, "help@acme.test")


async def test_an_edit_is_taken_up_and_a_wrong_one_changes_nothing(client, blocks, runtime, caplog):
    one = await blocks.create("acme", sender=SENDER, accent="#0b7285", footer=["A", "B"])
    looking = loader_of(runtime)
    await looking.look(client)
    assert runtime.brands["acme"].footer == ("A", "B")
    await blocks.edit(one, sender="Two <t@two.test>", accent="#0b7286")
    await looking.look(client)
    await blocks.edit(one, sender="Three <t@three.test>", accent="blue")
    for _ in range(2):
        await looking.look(client)
    assert (runtime.brands["acme"].sender, runtime.brands["acme"].accent) == ("Two <t@two.test>", "#0b7286")
    told = [line.getMessage() for line in caplog.records if "'acme'" in line.getMessage()]
    assert len(told) == 1
    assert "the Waypost brand block 'acme' is not used: accent: not a colour" in told[0]


@pytest.mark.parametrize(
    ("name", "form", "said"),
    [
        ("shop", {"sender": SENDER}, "the settings have a brand of that name, which takes precedence"),
        ("default", {"sender": SENDER}, "the settings have a brand of that name, which takes precedence"),
        ("-dash", {"sender": SENDER}, "a brand's name has at most 41 small letters"),
        ("acme", {}, "sender: missing"),
        ("acme", {"sender": SENDER, "logo": "http://acme.test/x.png"}, "logo: "),
    ],
)
async def test_one_that_cannot_be_used_is_told_by_the_log_and_by_doctor(
    client, blocks, settings, runtime, caplog, name, form, said
):
    before = dict(runtime.brands)
    await blocks.create(name, **form)
    await loader_of(runtime).look(client)
    assert runtime.brands == before
    sentence = f"the Waypost brand block {name!r} is not used: {said}"
    assert sentence in caplog.text
    [found] = [one for one in await provider_findings(settings) if one.what == "brands" and not one.ok]
    assert found.found.startswith(sentence)
    assert "waypost docs brands" in found.advice


async def test_doctor_tells_which_brands_are_blocks(blocks, settings):
    await blocks.create("acme", sender=SENDER, providers={"email": ["nope"]})
    listed, wrong = [one for one in await provider_findings(settings) if one.what == "brands"]
    assert listed.found.endswith(f"acme: {SENDER} (a block in Prefect)")
    assert wrong.found == "acme.providers.email names nope, but no provider is called nope"


async def test_a_process_without_prefect_knows_them_from_the_ledger(client, blocks, settings, tmp_path):
    async with Runtime.open(settings) as runtime:
        one = await blocks.create("acme", sender=SENDER)
        await loader_of(runtime).look(client)
        assert [*await all_brands(settings, runtime.ledger)] == ["default", "shop", "acme"]
    async with Runtime.open(settings) as later:
        assert later.brands["acme"].sender == SENDER
        assert (await note([ask()])).states == {"sent": 1}
        await client.delete_block_document(one.id)
        await loader_of(later).look(client)
        assert [*await all_brands(settings, later.ledger)] == ["default", "shop"]


async def test_a_prefect_server_that_knows_no_brands_removes_none(client, blocks, settings):
    async with Runtime.open(settings) as runtime:
        await blocks.create("acme", sender=SENDER)
        await loader_of(runtime).look(client)
        await client.delete_block_type((await client.read_block_type_by_slug("waypost-brand")).id)
        await loader_of(runtime).look(client)
        assert "acme" in runtime.brands
        await WaypostBrand.aregister_type_and_schema(client=client)


async def test_a_gateway_takes_them_up_while_it_runs(client, blocks, settings, runtime, monkeypatch):
    monkeypatch.setattr(gateway, "BRANDS_SECONDS", 0.05)
    senders = senders_of_brands(settings)
    async with gateway.brands_kept_up_to_date(settings, runtime.ledger, senders), asyncio.timeout(20):
        one = await blocks.create("acme", sender=SENDER)
        await loader_of(runtime).look(client)
        while "acme" not in senders:
            await asyncio.sleep(0.02)
        assert senders["acme"].allow(["no-reply@acme.test"])
        await client.delete_block_document(one.id)
        await loader_of(runtime).look(client)
        while "acme" in senders:
            await asyncio.sleep(0.02)
