"""New identities, in one place: UUIDv7 (RFC 9562), so that they sort by when they were made."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

Source = Callable[[], UUID]

_source: Source = uuid7


def new_id() -> UUID:
    """An id nobody else has."""
    return _source()


def first_id(moment: datetime) -> UUID:
    """Less than every UUIDv7 made at or after `moment`: their first 48 bits are milliseconds since 1970."""
    return UUID(int=max(int(moment.timestamp() * 1000), 0) << 80)


@contextmanager
def use_ids(source: Source) -> Generator[None]:
    """For the length of the block, `source` makes the ids: a simulation replayed makes the same ones."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before
