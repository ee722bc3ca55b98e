"""A client's HTTP connection, within limits: the server we stand on has none for what is no body."""

from __future__ import annotations

import logging
import math
import resource
from asyncio import BaseTransport, TimerHandle
from contextlib import suppress
from functools import cache
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from waypost.gateway.problems import Problem
from waypost.telemetry import metrics

LONGEST = 64 * 1024  # bytes of a head, or of trailers, beside what came with the first of them
LONGEST_ADDRESS = LONGEST - 1  # the parser counts in 16 bits
MOST_OWED = 64  # answers: a client that sends more requests together is answered so many, and asks again
REQUEST_SECONDS = 60.0  # for a request to be whole, and for the first to begin
ANSWER_SECONDS = 60.0  # for a client to take what lies in its way
LINGERS_SECONDS = 1.0
MOST_WANTED = 65_536  # descriptors
KEPT_BACK = 256  # descriptors for what the process opens besides: the ledger, mail servers, webhooks
TOLD_EVERY_SECONDS = 60.0

logger = logging.getLogger("waypost.gateway")

_BODY = {b"content-length", b"transfer-encoding"}
_HEAD_TOO_LONG = Problem("head-too-long", f"the address and the headers may have {LONGEST:,} bytes")
_NO_HTTP = Problem("malformed", "this is no HTTP/1.1 request: nothing of it was taken")
_NO_OTHER = Problem("malformed", "no other protocol is spoken here: send a body without Upgrade")
_SLOW = Problem("too-slow", f"a request is to be whole within {REQUEST_SECONDS:g} s")


@cache
def most() -> int:
    """How many connections there may be at once: as many as the process may have open, less what it needs
    itself. What this system lets it have is taken first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_WANTED if hard == resource.RLIM_INFINITY else min(hard, MOST_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # some systems have a limit of their own below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    had = MOST_WANTED if soft == resource.RLIM_INFINITY else min(soft, MOST_WANTED)
    return max(had - KEPT_BACK, had // 2)


class TooManyOwed(Exception):
    """A client sent more requests than it may have answers to come (RFC 9112, section 9.3.2)."""


class Connection(HttpToolsProtocol):
    """Refuses what goes on for too long (a head or trailers: RFC 6585, section 5), what does not come to its
    end, and what is no HTTP. Trailers are read and dropped (RFC 9110, section 6.5.1): nothing here is told
    in one, and a header that somebody checks must not come in behind its back.

    What is refused is told only where nothing else is owed: answers are told apart by their order alone, and
    a refusal in another's place would say that what was accepted was not. So the answers to what came before
    go first, and then the connection ends.
    """

    _told_at = -math.inf  # that there are too many

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # pyright: ignore[reportArgumentType]
        self._in_head = self._in_message = False
        self._deaf = False  # nothing more is taken; what is owed is answered
        self._since = 0  # bytes since anything was made of them
        self._owed = 0  # answers to requests whose heads came
        self._late: TimerHandle | None = None
        self._unread: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)  # pyright: ignore[reportArgumentType]
        if len(self.connections) > most():
            self._deaf = True
            self._tell_of_too_many()
            self.transport.abort()
            return
        self._expect_the_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        self._has_taken_it()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes nothing for now; what is for it lies in memory, and not for ever."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._has_taken_it()
        super().resume_writing()

    def _has_taken_it(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Who has asked and ends its own side still hears the answers (RFC 9112, section 9.6); TLS has no
        such half."""
        hears = bool(self._owed) and not self._in_message and self.scheme == "http"
        self._deaf = self._deaf or hears
        return hears

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        ends = data.find(b"\r\n\r\n") if self._in_head else -1
        self._since += len(data) if ends < 0 else ends
        if self._in_head and self._since > LONGEST:
            self._refuse(_HEAD_TOO_LONG)
            return
        super().data_received(data)
        if not self._in_head and self._since > LONGEST:
            self._refuse(_HEAD_TOO_LONG)
        elif self._in_message or not self._owed:  # most come whole, and need no clock
            self._expect_the_rest()

    def on_message_begin(self) -> None:
        self._in_head = self._in_message = True
        self._since = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._since = 0
        upgrade = self.parser is not None and self.parser.should_upgrade()
        if upgrade and _BODY & {name for name, _ in self.headers}:
            self._refuse(_NO_OTHER)  # the parser takes what follows for the other protocol
            return
        if len(self.url) > LONGEST_ADDRESS:
            self._refuse(_HEAD_TOO_LONG)
            return
        if self._owed >= MOST_OWED:
            self._deaf = True
            raise TooManyOwed  # so that the parser makes nothing of the rest
        super().on_headers_complete()  # raises for an address that is none: its request is still in its head
        self._in_head = False
        self._owed += 1
        self.headers = []  # where trailers go, which nobody reads

    def on_body(self, body: bytes) -> None:
        self._since = 0
        if not self._deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        self._since = 0
        self._expect_nothing()
        if not self._deaf:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self._owed -= 1
        super().on_response_complete()
        if self._deaf and not self._owed:
            self._end()

    def send_400_response(self, msg: str) -> None:
        self._refuse(_NO_HTTP)

    def _tell_of_too_many(self) -> None:
        if self.loop.time() - Connection._told_at >= TOLD_EVERY_SECONDS:
            Connection._told_at = self.loop.time()
            logger.warning("%d connections are open, as many as may be: others are closed at once", most())

    def _expect_the_rest(self) -> None:
        if self._late is None and not self._deaf:
            self._late = self.loop.call_later(REQUEST_SECONDS, self._too_late)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if self._in_message:
            self._refuse(_SLOW)
        else:
            self.transport.close()

    def _refuse(self, why: Problem) -> None:
        """Take nothing more, and end it once all that is owed was answered."""
        self._deaf = True
        self._expect_nothing()
        had_an_answer = False
        if self._in_message and not self._in_head:  # what is refused is a body: its request is not to be had
            had_an_answer = self.cycle.response_started
            if not self.cycle.response_complete:
                self._drop_the_last()
        if self._owed:
            return
        if not had_an_answer:
            self._tell(why)
        self._end()

    def _end(self) -> None:
        """What is still sent is read and dropped for a moment: closed with something unread, a connection is
        reset, and the last answer may be lost by it."""
        self.loop.call_later(LINGERS_SECONDS, self.transport.close)

    def _drop_the_last(self) -> None:
        self._owed -= 1
        if self.pipeline:
            self.pipeline.popleft()  # it waited for its turn
        else:
            self.cycle.disconnected = True  # as one that has left: what it says is not heard
            self.cycle.message_event.set()

    def _tell(self, why: Problem) -> None:
        answer = why.response()
        metrics.count("other", "none", answer.status_code)
        head = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        status = f"HTTP/1.1 {answer.status_code} {why.kind.reason}\r\n".encode()
        self.transport.write(status + head + b"connection: close\r\n\r\n" + cast(bytes, answer.body))
