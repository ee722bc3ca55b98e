"""A ledger's file that is not there is made by no command that only looks, nor anew where it was lost."""

from __future__ import annotations

import pytest

from waypost.cli import db
from waypost.cli.errors import explained
from waypost.config.settings import Settings, sqlite_url
from waypost.delivery.runtime import Runtime
from waypost.deployments.doctor.gateway import examine_gateway
from waypost.deployments.doctor.ledger import ledger_findings
from waypost.deployments.processes.up import Ports, servers
from waypost.ledger import connect_checked, open_ledger
from waypost.ledger.database.lost_file import TRACES, LedgerMissing

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["ledger.db", "a ledger#1.db"])
def file(request, tmp_path):
    return tmp_path / "home" / request.param


@pytest.fixture
def settings(file):
    file.parent.mkdir()
    return Settings(home=file.parent, database_url=sqlite_url(file), smtp_url="smtp://mail.example")


async def from_checked(settings):
    async with connect_checked(settings):
        pass


async def from_a_worker(settings):
    async with Runtime.open(settings, []):
        pass


async def from_up(settings):
    async with servers(settings, Ports(0, 0, 0, 0), lambda _: None):
        pass


async def said_by(look, settings):
    with pytest.raises(LedgerMissing) as raised:
        await look(settings)
    return explained(raised.value)


@pytest.mark.parametrize("look", [from_checked, from_a_worker])
async def test_to_look_for_a_ledger_makes_neither_its_file_nor_a_trace_of_it(settings, file, look):
    said = await said_by(look, settings)
    assert said.startswith(f"there is no ledger yet at {file}: start `waypost up`")
    assert not list(file.parent.iterdir())


@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("look", [from_checked, from_a_worker, from_up])
async def test_where_waypost_ran_before_a_missing_file_is_gone_and_is_not_made_anew(
    settings, file, look, trace
):
    (file.parent / trace).write_text("{}")
    said = await said_by(look, settings)
    assert said.startswith(f"the ledger's file {file} is gone, but {file.parent / trace} shows")
    assert said.index("restore a backup") < said.index("start with an empty ledger")
    assert said.endswith("run `waypost db upgrade`")
    assert not file.exists()


@pytest.mark.parametrize("look", [from_checked, from_a_worker, from_up])
async def test_an_empty_file_where_waypost_ran_before_is_a_lost_ledger_too(settings, file, look):
    (file.parent / "secret.key").write_text("a key of sixteen or more")
    file.touch()
    assert (await said_by(look, settings)).startswith(f"the ledger's file {file} is empty, but")


async def test_db_upgrade_begins_anew_on_purpose(settings, file):
    (file.parent / "secret.key").write_text("a key of sixteen or more")
    await db._upgrade(settings)
    await from_checked(settings)


async def test_doctor_says_that_the_file_is_gone_and_makes_none(settings, file):
    (file.parent / "secret.key").write_text("a key of sixteen or more")
    [ledger] = await ledger_findings(settings)
    assert (ledger.ok, "is gone" in ledger.found, "restore a backup" in ledger.advice) == (False, True, True)
    assert not await examine_gateway(settings)
    assert not file.exists()


async def test_a_ledger_in_memory_is_never_missing():
    for url in ("sqlite://", "sqlite:///:memory:", "sqlite:///file:one?mode=memory&uri=true"):
        ledger = open_ledger(url)
        assert await ledger.read(lambda connection: 1) == 1
        await ledger.close()
