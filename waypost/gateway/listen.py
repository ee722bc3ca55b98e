"""Where the gateway listens, and which keys it needs for that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from waypost.ledger import Ledger
from waypost.ledger.records import api_keys
from waypost.net.hosts import is_loopback

STOPS_WITHIN = 8  # seconds that requests under way are given at a stop


class UnprotectedGateway(RuntimeError):
    """It was to listen where others reach it, and nobody has a key. Says what to do."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where it listens. certificate, key: files; with both it serves TLS itself."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None

    @property
    def place(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://{self.place}"


async def check_keys(ledger: Ledger, host: str, has_tokens: bool) -> int:
    """How many keys are active. Raises UnprotectedGateway when others can reach a gateway without keys."""
    count = len(await api_keys.active_keys(ledger))
    if not count and not has_tokens and not is_loopback(host):
        raise UnprotectedGateway(
            f"the gateway was to listen on {host}, where others reach it, and there is no API key yet: make "
            "one with `waypost keys create`, or let it listen on 127.0.0.1"
        )
    return count


class PortTaken(RuntimeError):
    """It cannot listen there. Says where, and which options move it."""
