"""Mail taken by SMTP, kept as .eml files."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from waypost.system.clock import now

REFUSED = "refused"


class MailHandler:
    """aiosmtpd's handler. Each mail is in a file before the response 250."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        folder.mkdir(parents=True, exist_ok=True)

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Refuse `refused@...`, accept all others."""
        if address.partition("@")[0].lower() == REFUSED:
            return f"550 5.1.1 <{address}> no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep the message under a name that sorts by arrival."""
        name = f"{now():%Y%m%dT%H%M%S%f}-{next(self._numbers):06}.eml"
        part = self._folder / f".{name}.part"
        part.write_bytes(envelope.original_content)
        part.rename(self._folder / name)
        return "250 2.0.0 kept"
