"""A provider that was changed or deleted is closed as soon as no run goes over it."""

import pytest
from support.flow_steps import run
from support.ledger import NOTE, accepted

from waypost.delivery.router import Router
from waypost.model.priority import Priority

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture
async def used(ledger, bent, runtime_of):
    """A server, and a runtime that has sent a mail over its block."""
    server = bent()
    async with server.running():
        runtime = runtime_of()
        runtime.providers.add({"own": {"url": f"smtp://127.0.0.1:{server.port}"}})
        await accepted(ledger)
        await run(runtime)
        assert (len(server.taken), len(server.open_sessions)) == (1, 1)
        yield server, runtime


@pytest.mark.parametrize("changed", [True, False], ids=["changed", "deleted"])
async def test_its_connections_are_closed_when_the_next_look_finds_it_unused(used, changed):
    server, runtime = used
    terms = {"url": f"smtp://127.0.0.1:{server.port}?connections=2"}
    runtime.providers.add({"own": terms} if changed else {})
    await runtime.providers.close_unused()
    await server.left()


async def test_it_stays_open_for_a_run_that_goes_over_it(used):
    server, runtime = used
    router = Router(runtime.providers, NOTE, Priority.NORMAL)
    runtime.providers.add({})
    await runtime.providers.close_unused()
    assert len(server.open_sessions) == 1
    del router
    await runtime.providers.close_unused()
    await server.left()


async def test_it_stays_open_while_a_message_is_on_its_way(used):
    server, runtime = used
    [channel] = runtime.providers.channels
    await channel.permits.acquire()
    runtime.providers.add({})
    await runtime.providers.close_unused()
    assert (len(server.open_sessions), runtime.providers.idle) == (1, False)
    channel.permits.release()
    await runtime.providers.close_unused()
    await server.left()


async def test_what_did_not_change_keeps_its_connections(used):
    server, runtime = used
    runtime.providers.add({"own": {"url": f"smtp://127.0.0.1:{server.port}"}})
    await runtime.providers.close_unused()
    assert len(server.open_sessions) == 1
