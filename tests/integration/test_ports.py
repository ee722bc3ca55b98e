"""Every port that is taken is named at once, before anything starts."""

import socket

import pytest

from waypost.config.settings import Settings
from waypost.deployments.processes.up import Ports, PortTaken, servers

pytestmark = pytest.mark.anyio


async def test_all_taken_ports_are_named_at_once(tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        first, second = (server.getsockname()[1] for server in (one, two))
        with pytest.raises(PortTaken) as told:
            async with servers(Settings(), Ports(0, 0, first, second), print):
                pass
    assert str(told.value) == (
        f"127.0.0.1:{first} (the mailbox for short messages, --texts-port), 127.0.0.1:{second} (the gateway, "
        "--gateway-port) are in use: stop the other process, or choose another port with the option (0 picks "
        "a free port)"
    )
    assert not (Settings().home / "ledger.db").exists()


async def test_two_servers_on_one_port_are_told(monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(PortTaken, match=r"the Prefect server, --port.*the gateway, --gateway-port"):
        async with servers(Settings(), Ports(4811, 0, 0, 4811), print):
            pass
