"""The batch that is passed between tasks."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from waypost.model.notification_type import NotificationType
from waypost.model.states import State

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Ended:
    """A notification that ended, or has to wait, as its run took it up: it had expired, could not be read,
    was suppressed, or its recipient wants it later. id: None when the id itself cannot be read. key, email,
    phone: of its recipient, as far as they can be read. due: until when it waits."""

    id: UUID | None
    state: State
    reason: str
    key: str = field(default="", repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What a run found as it took up its batch, for its report. ended: the notifications that ended there.
    note: why it sends less than it was given, or nothing, and what to do. refused: how many requests were not
    accepted. left: how many notifications a retry leaves as they are, by state. wrong: there is no batch of
    that id and type. trouble: why the source of its requests was not read to its end. held: the type is held.
    only_failed: a retry, and all that it takes up had failed."""

    ended: Sequence[Ended] = ()
    note: str = ""
    refused: int = 0
    left: Mapping[State, int] = field(default_factory=dict[State, int])
    wrong: bool = False
    trouble: str = ""
    held: bool = False
    only_failed: bool = False


NOTHING_TO_TELL = TakenUp()


class Batch(Generic[T]):
    """An opaque carrier of the items of one run.

    Prefect walks lists, dicts, dataclasses and models handed to a task item by item: 500 ms for 500
    items through four tasks, 8-20 ms inside an object it cannot see into. So this is a plain class,
    its repr names no item, and it cannot be pickled into a result store by accident.
    """

    __slots__ = ("id", "items", "taken_up", "type")

    def __init__(
        self, type: NotificationType, id: UUID, items: Sequence[T], taken_up: TakenUp = NOTHING_TO_TELL
    ) -> None:
        self.type = type
        self.id = id
        self.items = items
        self.taken_up = taken_up
        if (made := _of_run.get()) is not None:
            made.append(self)

    def following(self, items: Sequence[U]) -> Batch[U]:
        """The same batch after a step that made `items` of its items."""
        return Batch(self.type, self.id, items, self.taken_up)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"<{len(self.items)} of {self.type.name}, batch {self.id}>"

    def __reduce__(self) -> str:
        raise TypeError("a Batch stays in its process: it carries addresses and codes")


_of_run: ContextVar[list[Batch[Any]] | None] = ContextVar("batches", default=None)


@contextmanager
def emptied_after_the_run() -> Generator[None]:
    """Empty the batches made in the block once it is over, even if they are still referenced.

    A connection or timer keeps the context it was made in for as long as it lives, and Prefect keeps the
    tasks' results there: sixty connections would keep the messages of sixty runs that are long over.
    """
    made: list[Batch[Any]] = []
    token = _of_run.set(made)
    try:
        yield
    finally:
        _of_run.reset(token)
        for batch in made:
            batch.items = ()
        made.clear()
