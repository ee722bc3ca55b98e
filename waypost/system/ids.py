"""New ids: UUIDv7 (RFC 9562), which sort by the time they were made."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

Source = Callable[[], UUID]

_source: Source = uuid7


def new_id() -> UUID:
    """A new unique id."""
    return _source()


def first_id(moment: datetime) -> UUID:
    """An id below every UUIDv7 made at or after `moment`: their first 48 bits are milliseconds since 1970."""
    return UUID(int=max(int(moment.timestamp() * 1000), 0) << 80)


@contextmanager
def use_ids(source: Source) -> Generator[None]:
    """For the length of the block, `source` makes the ids: a replayed simulation makes the same ids."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before
