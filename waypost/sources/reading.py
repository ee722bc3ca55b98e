"""Reads the rows of any source in groups, without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from datetime import date
from itertools import islice
from pathlib import Path

from waypost.model.source import Source
from waypost.sources import files
from waypost.sources.rows import AT_ONCE, Row


async def rows_of(
    source: Source,
    day: date,
    project: Path,
    *,
    needed: Collection[str] = (),
    within: float | None = None,
) -> AsyncGenerator[list[Row]]:
    """The rows of `source`, at most AT_ONCE at once. project: the folder that paths are relative to. needed:
    columns that a table or a query has to have. within: seconds that a query may take until its next rows.
    Raises SourceFailed."""
    if source.file is not None:
        async with aclosing(_of_file(project / source.file, needed)) as parts:
            async for part in parts:
                yield part
    elif source.url is not None and source.query is not None:
        # Imported here: files need no SQLAlchemy for asyncio.
        from waypost.sources import database

        url = source.url.get_secret_value()
        query = database.rows_of(url, source.query, day, project, needed=needed, within=within)
        async with aclosing(query) as parts:
            async for part in parts:
                yield part


async def _of_file(file: Path, needed: Collection[str]) -> AsyncGenerator[list[Row]]:
    rows = files.rows_of(file, needed)
    try:
        while part := await asyncio.to_thread(lambda: list(islice(rows, AT_ONCE))):
            yield part
    finally:
        with suppress(ValueError):  # its thread still reads, and this task is cancelled
            rows.close()
