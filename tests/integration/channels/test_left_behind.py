"""A provider that was changed or deleted is closed as soon as no run goes over it."""

import pytest
from support.flow_steps import run, runtime_of
from support.ledger import NOTE, accepted

from waypost.delivery.router import Router
from waypost.model.priority import Priority

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture
async def used(ledger, bent):
    """A server, and a runtime that has sent a mail over its block."""
    server = bent()
    async with server.running():
        runtime = runtime_of(ledger)
        runtime.offer({"own": {"url": f"smtp://127.0.0.1:{server.port}"}})
        await accepted(ledger)
        await run(runtime)
        assert (len(server.taken), len(server.open_sessions)) == (1, 1)
        yield server, runtime
        await runtime.close()


@pytest.mark.parametrize("changed", [True, False], ids=["changed", "deleted"])
async def test_its_connections_are_closed_when_the_next_look_finds_it_unused(used, changed):
    server, runtime = used
    terms = {"url": f"smtp://127.0.0.1:{server.port}?connections=2"}
    runtime.offer({"own": terms} if changed else {})
    await runtime.let_go()
    await server.left()


async def test_it_stays_open_for_a_run_that_goes_over_it(used):
    server, runtime = used
    way = Router(runtime, NOTE, Priority.NORMAL)
    runtime.offer({})
    await runtime.let_go()
    assert len(server.open_sessions) == 1
    del way
    await runtime.let_go()
    await server.left()


async def test_it_stays_open_while_a_message_is_on_its_way(used):
    server, runtime = used
    [channel] = runtime.channels
    await channel.places.acquire()
    runtime.offer({})
    await runtime.let_go()
    assert (len(server.open_sessions), runtime.sends) == (1, True)
    channel.places.release()
    await runtime.let_go()
    await server.left()


async def test_what_did_not_change_keeps_its_connections(used):
    server, runtime = used
    runtime.offer({"own": {"url": f"smtp://127.0.0.1:{server.port}"}})
    await runtime.let_go()
    assert len(server.open_sessions) == 1
