"""SMS, chat, push and webhooks through Apprise: one URL names one of its hundred services.

Apprise returns only success or failure; the service's response is only in Apprise's log. So the log of the
sending thread is parsed: a status there makes a failure definite, a refused connection means that nothing was
sent, and any other failure is UNKNOWN.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

import apprise

from waypost.channels.apprise.text import as_text
from waypost.channels.channel import ChannelUnavailable
from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.channels.redacted import RedactedChannel
from waypost.channels.send_gate import LAST_WORD_SECONDS
from waypost.model.notification import Message, ResolvedRecipient
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy import classify
from waypost.policy.redaction.redact import parts_of

_STATUS = re.compile(r"\berror=(\d{3})\.?$")
_NOT_OPENED = re.compile(
    r"Failed to establish a new connection|Connection refused|Name or service not known"
    r"|NameResolutionError|CERTIFICATE_VERIFY_FAILED",
    re.IGNORECASE,
)


class AppriseChannel(RedactedChannel):
    """One Apprise URL. `{phone}`, `{email}` and `{id}` in it are replaced by the recipient's."""

    checked = "the URL is valid"

    def __init__(self, name: str, kind: str, url: str, attempt_seconds: float = 60.0) -> None:
        """Raises ValueError, without repeating the URL, when Apprise does not know it."""
        super().__init__(name, parts_of(url))
        self.kind = kind
        self.permits = PrioritySemaphore(4)
        self._url = url
        self._attempt_seconds = attempt_seconds
        self._limits: dict[asyncio.Task[Any] | None, asyncio.Timeout] = {}
        filled = _filled(url, phone="+12025550100", email="a@b.example", id="someone")
        service = _service(filled) if filled else None
        if service is None:
            raise ValueError(
                "not a valid Apprise URL: its service is unknown, or a part of it is "
                "missing or wrong (see Apprise's documentation)"
            )
        self._personal = filled != url
        self._without_target = _targets(_service(_PLACEHOLDER.sub("", url))) if self._personal else None
        useless = _finds_its_own(service) if not self._personal else not self._fits(service)
        if useless and "{id}" not in url:  # an id may have any form
            raise ValueError(
                "an Apprise URL without a target: put {phone}, {email}, {id} or a fixed "
                "target where the service expects it"
            )

    async def _open(self) -> None:
        """Nothing is kept open: each message is a request of its own."""

    async def _send(self, message: Message) -> Outcome:
        """Offer one short message, in a thread: Apprise is not asynchronous."""
        person = message.notification.recipient
        url = _filled(self._url, phone=person.phone, email=person.email, id=person.key)
        service = _service(url) if url else None
        if service is None or not self._fits(service):
            return Outcome(Verdict.REFUSED, Phase.RCPT, words=self._unfit(person))
        if message.notification.expired:
            return classify.too_late()
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(self._attempt_seconds) as self._limits[task]:
                return await asyncio.to_thread(
                    _notify, self.name, service, message.title, message.content.decode(), self._personal
                )
        except TimeoutError:
            whole = task in self._limits
            words = (
                f"no response within {self._attempt_seconds:g} s"
                if whole
                else "stopped before a response came"
            )
            return classify.lost(Phase.DOT, words)
        finally:
            self._limits.pop(task, None)

    def _unfit(self, person: ResolvedRecipient) -> str:
        """The reason why the URL does not reach a recipient."""
        known = {"phone": person.phone, "email": person.email}
        lacks = [field for field, value in known.items() if f"{{{field}}}" in self._url and not value]
        if not lacks:
            return f"the recipient's phone, email or id does not fit the URL of {self.name}"
        needed = " and ".join(_NEEDED[field] for field in lacks)
        return f"the URL of {self.name} needs {needed}, and none is known for this recipient"

    def _fits(self, service: Any) -> bool:
        """Whether the recipient is a target of `service`, if the URL has placeholders. A service that rejects
        its target may text its own number, or everybody, instead."""
        return not self._personal or _targets(service) not in ([], self._without_target or [])

    def cancel_sends(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """A thread cannot be ended, and its progress is unknown: wait a little for its result."""
        soon = asyncio.get_running_loop().time() + LAST_WORD_SECONDS
        for task in tasks:
            limit = self._limits.pop(task, None)
            if limit is not None and not limit.expired():
                limit.reschedule(min(soon, limit.when() or soon))

    async def close(self) -> None:
        """Nothing to let go of."""


def _filled(url: str, *, phone: str | None, email: str | None, id: str) -> str | None:
    """`url` with the recipient's values filled in, or None if one is missing or would change the path."""
    dialled = re.sub(r"[^0-9+]", "", phone or "")
    for name, value in (("{phone}", dialled), ("{email}", email or ""), ("{id}", id)):
        if name in url and ("/" in value or "\\" in value or value in ("", ".", "..")):
            return None
        url = url.replace(name, quote(value, safe=""))
    return url


_NEEDED = {"phone": "a phone number", "email": "an email address"}


def _service(url: str) -> Any:
    return apprise.Apprise.instantiate(url, suppress_exceptions=True)  # pyright: ignore[reportUnknownMemberType]


_PLACEHOLDER = re.compile(r"\{(?:phone|email|id)\}")


def _targets(service: Any) -> list[Any] | None:
    """The targets of a service; None for a service that has none besides its URL."""
    found = getattr(service, "targets", None)
    return None if found is None else list(found)


def _finds_its_own(service: Any) -> bool:
    """Whether a service without a target would send nothing, text its own number, or look for a person
    itself. Others have a target in the rest of their URL, such as the token of a channel's webhook."""
    if _targets(service) not in ([], [getattr(service, "source", None)]):
        return False
    texts_itself = any(name.startswith(("from_phone", "source")) for name in service.template_tokens)
    required = all("{target" in template for template in service.templates)
    return required or texts_itself or getattr(service, "detect_owner", False)


def _notify(name: str, service: Any, title: str, body: str, personal: bool) -> Outcome:
    with _ThreadLog() as log:
        title, body = as_text(service, title, body)
        sent = service.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
    if sent:
        return Outcome(Verdict.ACCEPTED, Phase.DOT, words="accepted")
    if log.status is not None:
        return classify.http(log.status, log.said, fixed=not personal)
    if log.not_opened:
        raise ChannelUnavailable(name, "the service could not be reached")
    return Outcome(Verdict.UNKNOWN, Phase.DOT, words="the service did not report the outcome")


class _ThreadLog:
    """Reads what Apprise logs about the response in this thread, while the block runs.

    The log also repeats the message, which may hold any text. So a status is read only from warnings, and a
    connection failure only from the line about the socket. Nothing of the log is kept.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.said = ""
        self.not_opened = False

    def read(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno >= logging.WARNING and (found := _STATUS.search(line)):
            self.status, self.said = int(found.group(1)), line
        if line.startswith("Socket Exception") and _NOT_OPENED.search(line):
            self.not_opened = True

    def __enter__(self) -> _ThreadLog:
        _READING.log = self
        return self

    def __exit__(self, *_: object) -> None:
        del _READING.log


_READING = threading.local()


def _kept_here(record: logging.LogRecord) -> bool:
    """Apprise's log lines hold URLs and addresses: only the sending thread reads them, no handler does."""
    log: _ThreadLog | None = getattr(_READING, "log", None)
    if log is not None:
        log.read(record)
    return False


_LOGGER = logging.getLogger("apprise")
_LOGGER.setLevel(logging.DEBUG)
_LOGGER.propagate = False
_LOGGER.addFilter(_kept_here)
