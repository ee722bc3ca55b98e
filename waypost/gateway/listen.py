"""The address that the gateway listens on, and the check that it has the keys it needs there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from waypost.ledger import Ledger
from waypost.ledger.records import api_keys
from waypost.net.hosts import is_loopback

STOPS_WITHIN = 8  # seconds for requests in progress to finish at a stop


class UnprotectedGateway(RuntimeError):
    """The gateway would listen where others can reach it, but there is no API key. Says what to do."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where the gateway listens. certificate, key: files; with both, the gateway serves TLS itself.
    option: the options that name another address."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None
    option: str = "--host and --port"

    @property
    def place(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://{self.place}"


async def check_keys(ledger: Ledger, host: str, has_tokens: bool) -> int:
    """How many keys are active. Raises UnprotectedGateway when others can reach a gateway without keys."""
    count = len((await api_keys.active_keys(ledger)).keys)
    if not count and not has_tokens and not is_loopback(host):
        raise UnprotectedGateway(
            f"the gateway cannot listen on {host}: other machines can reach that address, "
            "and there is no API key. Create a key with `waypost keys create`, or listen "
            "on 127.0.0.1"
        )
    return count


class PortTaken(RuntimeError):
    """The gateway cannot listen on an address. Says which, and which options change it."""
