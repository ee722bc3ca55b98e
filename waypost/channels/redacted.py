"""Removes the secrets that a provider's words may repeat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from waypost.channels.channel import ChannelUnavailable
from waypost.mail import quotes
from waypost.model.notification import Message
from waypost.model.outcome import Outcome, Verdict
from waypost.policy import classify
from waypost.policy.redaction import Redaction, links_in, without
from waypost.system.time_slices import Slices

_PHONE_TAIL = 4
_LONGEST = 4000  # characters of a secret that are searched for: words have 500 (classify.WORDS_KEPT)
_SUBSCRIBER = 8  # digits that identify a number within its country
_SLICE_SECONDS = 0.005


class RedactedChannel(ABC):
    """The base class of channels: no outcome and no error leaves it with a secret in its words.

    The secrets are the provider's credentials, the values minted for the message (codes, links, tokens), the
    links in its facts, and the recipient's phone number. For a mail that its author composed, every link and
    code that the provider quotes from it is a secret too (waypost/mail/quotes.py). Email addresses are masked
    where they are shown. Everything that keeps a provider's words gets them from here: the ledger, logs,
    Prefect, webhooks, the circuit breaker.
    """

    def __init__(self, name: str, credentials: Iterable[str] = ()) -> None:
        """credentials: the passwords, tokens and secrets by which the provider identifies Waypost."""
        self.name = name
        self._redaction = Redaction(credentials)

    async def open(self) -> None:
        """See Channel.open. Raises ChannelUnavailable."""
        with self._without_credentials():
            await self._open()

    async def send(self, message: Message) -> Outcome:
        """See Channel.send. Raises ChannelUnavailable."""
        try:
            outcome = await self._send(message)
        except ChannelUnavailable as error:
            raise type(error)(error.channel, await self._redacted(error.reason, message)) from None
        return await self._without_secrets(outcome, message)

    async def _without_secrets(self, outcome: Outcome, message: Message) -> Outcome:
        accepted = outcome.verdict is Verdict.ACCEPTED
        words = await self._redacted(outcome.words, message, accepted=accepted)
        return outcome if words == outcome.words else replace(outcome, words=words)

    @abstractmethod
    async def _open(self) -> None:
        """Like `open`, but its errors may hold secrets."""

    @abstractmethod
    async def _send(self, message: Message) -> Outcome:
        """Like `send`, but its outcomes and errors may hold secrets."""

    @contextmanager
    def _without_credentials(self) -> Generator[None]:
        try:
            yield
        except ChannelUnavailable as error:
            raise type(error)(error.channel, self._redaction(error.reason)) from None

    async def _redacted(self, words: str, message: Message, *, accepted: bool = False) -> str:
        if message.composed:
            words = await _without_quotes(words[: classify.WORDS_KEPT], message, accepted)
        words = self._redaction(words)
        private = (*message.private, *_links_of_facts(words, message), *_quoted_phone(words, message))
        return Redaction(one[:_LONGEST] for one in private)(words) if private else words


async def _without_quotes(words: str, message: Message, accepted: bool) -> str:
    """`words` without the secrets that they quote from a mail that its author composed. An acceptance keeps
    only the queue's id, so the mail is not read. For other outcomes the mail is read in slices."""
    found = quotes.suspects(words)
    if accepted:
        quoted = quotes.without_queue_id(found, words)
    elif quotes.too_many(found):
        quoted = found
    else:
        quoted = await _quoted(found, message)
    return without(words, ((one.begin, one.end) for one in quoted))


async def _quoted(found: list[quotes.Suspect], message: Message) -> list[quotes.Suspect]:
    """The suspects that occur in the mail."""
    left, quoted, slices = found, list[quotes.Suspect](), Slices(_SLICE_SECONDS)
    for reading in quotes.readings(message.content, message.title) if found else ():
        here = [one for one in left if one.stands_in(reading)]
        quoted += here
        left = [one for one in left if one not in here] if here else left
        if not left:
            break
        await slices.pause()
    return quoted


def _links_of_facts(words: str, message: Message) -> Iterable[str]:
    """The links in the facts, if `words` may quote them. A composed mail is a fact, and compared before."""
    wanted = not message.composed and ("/" in words or "%" in words)
    return _links(message.notification.data) if wanted else ()


def _quoted_phone(words: str, message: Message) -> Iterator[str]:
    """The recipient's phone number, if its last digits are in `words`: most words need no more work."""
    phone = _digits(message.notification.recipient.phone or "")
    if len(phone) >= _PHONE_TAIL and phone[-_PHONE_TAIL:] in _digits(words):
        yield phone
        yield phone[-_SUBSCRIBER:]  # a provider may omit the country code


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _links(facts: object) -> Iterator[str]:
    """The web addresses in `facts`, at any depth. A product's link may be as good as a password."""
    match facts:
        case str():
            yield from links_in(facts)
        case dict():
            for value in cast(dict[str, Any], facts).values():
                yield from _links(value)
        case list():
            for value in cast(list[Any], facts):
                yield from _links(value)
        case _:
            pass
