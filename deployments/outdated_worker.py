"""Warns in a worker's log that type files are newer than the worker, which reads them once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from waypost.deployments.type_files import PACKAGE
from waypost.system.clock import now

logger = logging.getLogger("waypost.worker")


@dataclass(slots=True)
class NewerFiles:
    """Looks at the files in flows/ of the project. Each change is told once."""

    project: Path
    since: datetime = field(default_factory=now)
    _told: set[tuple[str, datetime]] = field(default_factory=set[tuple[str, datetime]])

    def names(self) -> list[str]:
        """The files that were written since then."""
        return sorted({name for name, _ in self._newer()})

    async def look(self) -> None:
        """Warn of the files written since the worker started, if any are new."""
        found = set(self._newer()) - self._told
        self._told |= found
        if found:
            names = " and ".join(sorted(name for name, _ in found))
            logger.warning(
                "this worker started before %s changed and does not know the change: "
                "restart `waypost up` or `waypost worker`",
                names,
            )

    def _newer(self) -> Iterator[tuple[str, datetime]]:
        for file in (self.project / PACKAGE).glob("*.py"):
            with suppress(OSError):  # deleted meanwhile
                written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
                if written > self.since:
                    yield f"{PACKAGE}/{file.name}", written
