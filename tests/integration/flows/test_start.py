"""`waypost up` deploys its flows though its Prefect server dies under it and is started again."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from waypost.deployments.processes import prefect_server
from waypost.deployments.processes.up import deploy_patiently
from waypost.deployments.registry import registered

pytestmark = pytest.mark.anyio


def server_on(port):
    """The pid of the Prefect server on that port."""
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        if found.read_bytes().split(b"\0")[-4:-1] == [
            prefect_server.__name__.encode(),
            b"127.0.0.1",
            b"%d" % port,
        ]:
            return int(found.parent.name)
    raise AssertionError("no server")


@pytest.mark.long
async def test_a_prefect_server_that_dies_while_the_flows_are_deployed_is_waited_for(tmp_path, caplog):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with prefect_server.running(tmp_path, "127.0.0.1", port) as api:
        with temporary_settings({PREFECT_API_URL: api}):
            os.kill(server_on(port), signal.SIGKILL)
            deployed = await deploy_patiently("waypost", asyncio.Event())
    assert set(deployed) == set(registered())
    assert "does not respond" in caplog.text
