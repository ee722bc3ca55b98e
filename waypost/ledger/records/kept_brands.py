"""The brands that Prefect keeps as blocks, for the processes that do not ask Prefect: gateways and commands,
and workers while Prefect does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson
import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import installation

_ROW = "brand blocks"

Terms = Mapping[str, Mapping[str, Any]]  # by name, as WAYPOST_BRANDS has them


async def write(ledger: Ledger, terms: Terms) -> None:
    """Replace the brands."""
    row = {"name": _ROW, "value": orjson.dumps(terms).decode()}

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.delete(installation).where(installation.c.name == _ROW))
        if terms:
            connection.execute(sa.insert(installation).values(row))

    await ledger.write(work)


async def read(ledger: Ledger) -> Terms:
    """The brands as they were written last; those that cannot be read are left out."""
    wanted = sa.select(installation.c.value).where(installation.c.name == _ROW)
    kept = tolerant.object(await ledger.read(lambda connection: connection.scalar(wanted)))
    return {name: cast("dict[str, Any]", one) for name, one in kept.items() if isinstance(one, dict)}
