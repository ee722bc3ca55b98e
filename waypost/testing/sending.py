"""Sends requests of a type to channels in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings, prepare_home
from waypost.delivery.runtime import Runtime
from waypost.deployments.registry import Registered, find
from waypost.ledger import Ledger, ledger_of
from waypost.ledger.operations import search
from waypost.model.notification import Message
from waypost.model.states import State
from waypost.model.validation_messages import explain
from waypost.rendering.samples import sample_of
from waypost.tasks.run_context import without_prefect


class NotSent(AssertionError):
    """A request was refused, or its notification was not sent. Says why."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message. channel: the word of the type's route. address: where the message went."""

    channel: str
    address: str
    content: bytes

    @property
    def mail(self) -> EmailMessage:
        """The message as a mail."""
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def text(self) -> str:
        """The plain part of a mail, or the text of a short message."""
        if self.channel != "email":
            return self.content.decode()
        part = self.mail.get_body(("plain",))
        return part.get_content() if part else ""

    @property
    def html(self) -> str:
        """The HTML part of a mail, or ""."""
        part = self.mail.get_body(("html",)) if self.channel == "email" else None
        return part.get_content() if part else ""


def sample(type: str) -> dict[str, Any]:
    """The facts of a type's `sample.json`, as a request has them in `data`. Raises UnknownType, and NoSample
    without a sample."""
    settings = Settings()
    return sample_of(find(type).type.name, settings.template_folders, settings.default_sender).facts


def sent(type: str, *requests: Mapping[str, Any]) -> list[Sent]:
    """Send `requests`, each as in a line of a file for `waypost send`, and return the messages in the order
    in which they were sent. The settings are those of the environment; `.env` is not read, which is not in
    git: a test gives the same mail everywhere.

    The type is found as everywhere: in flows/ of WAYPOST_PROJECT or of the current folder, or shipped. Raises
    NotSent unless every notification is sent, and UnknownType.
    """
    found = find(type)
    return asyncio.run(_sent(found, [_checked(found, request) for request in requests]))


def _checked(found: Registered, request: Mapping[str, Any]) -> Any:
    try:
        return found.request.validate_python(dict(request))
    except ValidationError as error:
        raise NotSent(f"{found.type.name}: {explain(error)}") from None


async def _sent(found: Registered, requests: list[Any]) -> list[Sent]:
    taken: list[Message] = []
    channels = [_Kept(word, taken) for word in found.type.route]
    with TemporaryDirectory(prefix="waypost-") as home:
        settings = Settings(home=Path(home), database_url=None)
        prepare_home(settings)
        await _make_ledger(settings)
        async with Runtime.open(settings, [*channels]) as runtime:
            with without_prefect():
                await found.flow.fn(requests=requests)
            await _check(runtime.ledger)
    return [Sent(message.channel, message.address, message.content) for message in taken]


async def _make_ledger(settings: Settings) -> None:
    ledger = ledger_of(settings)
    await ledger.upgrade()
    await ledger.close()


async def _check(ledger: Ledger) -> None:
    """Raises NotSent."""
    page = await search.find(ledger, search.Filter())
    faults = [
        f"{one.type}: {one.state}: {one.reason or 'no reason'}"
        for one in page.notifications
        if one.state != State.SENT
    ]
    if faults:
        raise NotSent("; ".join(faults))


class _Kept(MemoryChannel):
    """A channel that keeps its messages in a list that it shares."""

    def __init__(self, word: str, taken: list[Message]) -> None:
        super().__init__(word, kind=word)
        self.sent = taken
