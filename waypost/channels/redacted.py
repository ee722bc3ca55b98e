"""Removes the secrets that a provider's words may repeat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any, cast

from waypost.channels.channel import ChannelUnavailable
from waypost.mail import quotes
from waypost.model.notification import Message
from waypost.model.outcome import Outcome, Verdict
from waypost.policy import classify
from waypost.policy.redaction.encodings import in_plain_letters
from waypost.policy.redaction.known_address import masked
from waypost.policy.redaction.quoted_links import QuotedLinks
from waypost.policy.redaction.redact import SHOWN_INSTEAD, Redaction, links_in, may_be_cut, without
from waypost.system.time_slices import Slices

_PHONE_TAIL = 4
_LONGEST = 4000  # characters of a secret that are searched for: words have 500 (classify.WORDS_KEPT)
_SUBSCRIBER = 8  # digits that identify a number within its country
_SLICE_SECONDS = 0.005


class RedactedChannel(ABC):
    """The base class of channels: no outcome and no error leaves it with a secret in its words.

    The secrets are the provider's credentials, the values minted for the message (codes, links, tokens), its
    sensitive facts, the links in its facts, and the recipient's phone number. For a mail that its author
    composed, every link and code that the provider quotes from it is a secret too (waypost/mail/quotes.py).
    The recipient's email address is masked in every spelling (policy/redaction/known_address.py); other email
    addresses are masked where they are shown. Everything that keeps a provider's words gets them from here:
    the ledger, logs, Prefect, webhooks, the circuit breaker.
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
            raise type(error)(error.channel, self._without_own(error.reason)) from None

    def _without_own(self, reason: str) -> str:
        shown = self._redaction(reason)
        decoded = in_plain_letters(shown, cut=may_be_cut(reason))
        hidden = self._redaction(decoded) if decoded != shown else decoded
        return shown if hidden == decoded else hidden

    async def _redacted(self, words: str, message: Message, *, accepted: bool = False) -> str:
        """`words` without secrets. If they are encoded, they are also read as decoded: a code may come back
        in fullwidth digits. Then the decoded words are kept, if they had a secret."""
        cut = may_be_cut(words)
        shown = await self._hidden(words, message, accepted=accepted, cut=cut)
        decoded = in_plain_letters(shown, cut=cut)
        if decoded == shown:
            return shown
        hidden = await self._hidden(decoded, message, accepted=accepted, cut=cut)
        return shown if hidden == decoded else hidden

    async def _hidden(self, words: str, message: Message, *, accepted: bool, cut: bool) -> str:
        if message.composed:
            words = await _without_quotes(words[: classify.WORDS_KEPT], message, accepted)
        words = await _without_private(self._redaction(words, cut=cut), message, cut)
        for address in _addresses(message):
            words = masked(words, address, cut=cut)
        return words


async def _without_private(words: str, message: Message, cut: bool) -> str:
    """`words` without the message's private values, the links in its facts and its phone number."""
    links, secrets = QuotedLinks(words, cut=cut), (*message.private, *_quoted_phone(words, message))
    if not (links.sought or secrets):  # as of most messages
        return words
    slices = Slices(_SLICE_SECONDS)
    if links.sought and not message.composed:  # a composed mail is a fact, and was compared before
        await _look_up_links(message.notification.data, links, slices)
    if links.too_many:
        return SHOWN_INSTEAD
    hidden = Redaction()
    for one in (*secrets, *links.found):
        hidden.hide(one[:_LONGEST])
        await slices.pause()
    return hidden(words, cut=cut)


async def _look_up_links(facts: object, links: QuotedLinks, slices: Slices) -> None:
    """Look up every web address in `facts`, at any depth. A product's link may be as good as a password."""
    waiting: list[object] = [facts]
    while waiting and not links.too_many:
        part = waiting.pop()
        if isinstance(part, str):
            for link in links_in(part):
                links.look_up(link[:_LONGEST])
                await slices.pause()
        elif isinstance(part, dict):
            waiting += chain.from_iterable(cast(dict[str, Any], part).items())
        elif isinstance(part, list):
            waiting += cast(list[Any], part)
        await slices.pause()


def _addresses(message: Message) -> Iterable[str]:
    """The message's address and its recipient's email, without those that are no email addresses."""
    known = (message.address.removeprefix("mailto:"), message.notification.recipient.email or "")
    return dict.fromkeys(address for address in known if "@" in address)


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


def _quoted_phone(words: str, message: Message) -> Iterator[str]:
    """The recipient's phone number, if its last digits are in `words`: most words need no more work."""
    phone = _digits(message.notification.recipient.phone or "")
    if len(phone) >= _PHONE_TAIL and phone[-_PHONE_TAIL:] in _digits(words):
        yield phone
        yield phone[-_SUBSCRIBER:]  # a provider may omit the country code


def _digits(text: str) -> str:
    if text.isascii():  # a third of the time
        return text.encode().translate(None, _NO_DIGITS).decode()
    return "".join(filter(str.isdecimal, text))


_NO_DIGITS = bytes(one for one in range(128) if not chr(one).isdecimal())
