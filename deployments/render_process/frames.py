"""What a worker and the process that renders tell each other: pickled values, each after its length.

Both ends run the same code. Nobody else can open the pair of sockets between them, so unpickling is safe.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from waypost.config.settings import Settings
from waypost.delivery.batch_rendering import RenderJob
from waypost.model.brand import Brand
from waypost.model.notification import Message, Notification, Rendered

LENGTH = struct.Struct("!Q")

# A message without its notification, which the worker has: kind, address, title, content, private values,
# whether an author composed it, sender.
_Sent = tuple[str, str, str, bytes, tuple[str, ...], bool, str]


@dataclass(frozen=True, slots=True)
class Start:
    """The first frame. since: when the worker read the files of the types; newer files are another type's.
    type: the first to be asked for, whose templates are loaded before the answer."""

    settings: Settings
    since: datetime
    type: str


@dataclass(frozen=True, slots=True)
class Started:
    """The answer to Start. newer: the files that the worker does not know; then the process ends."""

    newer: Sequence[str]


@dataclass(frozen=True, slots=True)
class Look:
    """What a renderer needs of the worker's present settings. served: the kinds of the type's route that have
    a provider."""

    brand: Brand
    served: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ask:
    """Notifications of one type to render. looks: by the name of the brand."""

    type: str
    looks: Mapping[str, Look]
    jobs: Sequence[RenderJob]


@dataclass(frozen=True, slots=True)
class Reply:
    """made: for each job, in their order; None if the process does not know the type, cannot load all its
    templates (the worker may have those from before a faulty edit) or cannot read what was asked.
    fault: why changed templates of the type are not in use.
    retires: the process has grown, and ends after its last reply."""

    made: Sequence[Made] | None
    fault: str | None = None
    retires: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A Rendered without its notification."""

    messages: Sequence[_Sent]
    error: str | None
    deferred_until: str | None
    template_version: str | None

    @classmethod
    def of(cls, rendered: Rendered) -> Made:
        messages = tuple(
            (one.channel, one.address, one.title, one.content, one.private, one.composed, one.sender)
            for one in rendered.messages.values()
        )
        return cls(messages, rendered.error, rendered.deferred_until, rendered.template_version)

    def rendered(self, notification: Notification) -> Rendered:
        """The Rendered of the notification that it was made for."""
        messages = {sent[0]: Message(notification, *sent) for sent in self.messages}
        return Rendered(
            notification, messages, self.error, self.deferred_until, template_version=self.template_version
        )


def packed(value: Any) -> bytes:
    """A frame."""
    content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(content)) + content


def unpacked(content: bytes) -> Any:
    """The value of a frame, without its length."""
    return pickle.loads(content)  # noqa: S301
