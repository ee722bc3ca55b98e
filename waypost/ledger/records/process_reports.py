"""What each process says is wrong in it, for all processes: providers that do not work, and changed templates
that are not in use.

A process without a fault has no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

import orjson
import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import installation
from waypost.system.clock import now

LASTS = timedelta(minutes=1)  # a process repeats its report before that; an older report is a dead process's

Report = Mapping[str, Any]


class About(StrEnum):
    """What a report is about; the name of its row begins with it."""

    CIRCUITS = "circuits of "
    TEMPLATES = "templates of "


async def write(ledger: Ledger, about: About, process: str, reports: Sequence[Report]) -> None:
    """Replace the reports of `process`."""
    row = {"name": about + process, "value": orjson.dumps({"at": now(), "reports": reports}).decode()}

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.delete(installation).where(installation.c.name == row["name"]))
        if reports:
            connection.execute(sa.insert(installation).values(row))

    await ledger.write(work)


async def read(ledger: Ledger, about: About) -> list[Report]:
    """The reports of all living processes."""
    theirs = installation.c.name.startswith(about, autoescape=True)
    wanted = sa.select(*tolerant.raw(installation.c.value)).where(theirs)
    rows = await ledger.read(lambda connection: tolerant.read(connection, wanted))
    found: list[Report] = []
    for row in rows:
        kept = tolerant.object(row.value)
        at = tolerant.moment(kept.get("at"))
        if isinstance(at, datetime) and at > now() - LASTS:
            found += [cast(Report, one) for one in kept.get("reports", ()) if isinstance(one, dict)]
    return found


async def forget_dead(ledger: Ledger) -> None:
    """Delete the reports of processes that ended without a word."""
    theirs = sa.or_(*(installation.c.name.startswith(about, autoescape=True) for about in About))

    def work(connection: sa.Connection) -> None:
        for row in connection.execute(sa.select(installation).where(theirs)).all():
            at = tolerant.moment(tolerant.object(row.value).get("at"))
            if not isinstance(at, datetime) or at < now() - LASTS * 10:
                connection.execute(sa.delete(installation).where(installation.c.name == row.name))

    await ledger.write(work)
