"""What a provider says, without the secrets that it may repeat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

from waypost.channels import ChannelUnavailable
from waypost.notification import Message
from waypost.outcome import Outcome
from waypost.redaction import Redaction

_PHONE_TAIL = 4
_LONGEST = 4000  # characters of a secret that are looked for: words have 500 (replies.WORDS_KEPT)
_SUBSCRIBER = 8  # digits that tell a number within its country


class RedactedChannel(ABC):
    """What every channel has in common: no answer and no failure leaves it with a secret in its words.

    The secrets are the provider's credentials, whatever was minted for the message (codes, links, tokens),
    the links among its facts, and the recipient's phone number; email addresses are masked where they are
    shown. Everything that keeps a provider's words has them from here: the ledger, logs, Prefect, webhooks,
    the circuit breaker.
    """

    def __init__(self, name: str, credentials: Iterable[str] = ()) -> None:
        """credentials: what the provider knows Waypost by: passwords, tokens, secrets."""
        self.name = name
        self._redaction = Redaction(credentials)

    async def open(self) -> None:
        """See Channel.open. Raises ChannelUnavailable."""
        try:
            await self._open()
        except ChannelUnavailable as error:
            raise ChannelUnavailable(error.channel, self._redaction(error.reason)) from None

    async def send(self, message: Message) -> Outcome:
        """See Channel.send. Raises ChannelUnavailable."""
        try:
            outcome = await self._send(message)
        except ChannelUnavailable as error:
            raise ChannelUnavailable(error.channel, self._redacted(error.reason, message)) from None
        words = self._redacted(outcome.words, message)
        return outcome if words == outcome.words else replace(outcome, words=words)

    @abstractmethod
    async def _open(self) -> None:
        """`open`, with secrets still in what it raises."""

    @abstractmethod
    async def _send(self, message: Message) -> Outcome:
        """`send`, with secrets still in what it answers or raises."""

    def _redacted(self, words: str, message: Message) -> str:
        words = self._redaction(words)
        links = _links(message.notification.data) if "/" in words or "%" in words else ()
        private = (*message.private, *links, *_quoted_phone(words, message))
        return Redaction(one[:_LONGEST] for one in private)(words) if private else words


def _quoted_phone(words: str, message: Message) -> Iterator[str]:
    """The recipient's phone number, if its last digits are in `words`: no more is made of most words."""
    phone = _digits(message.notification.recipient.phone or "")
    if len(phone) >= _PHONE_TAIL and phone[-_PHONE_TAIL:] in _digits(words):
        yield phone
        yield phone[-_SUBSCRIBER:]  # a provider may write it without the country


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _links(facts: object) -> Iterator[str]:
    """The web addresses among `facts`, however deep. One that a product made may be as good as a password."""
    match facts:
        case str() if facts.startswith(("https://", "http://")):
            yield facts
        case dict():
            for value in cast(dict[str, Any], facts).values():
                yield from _links(value)
        case list():
            for value in cast(list[Any], facts):
                yield from _links(value)
        case _:
            pass
