"""A client's HTTP connection, with the limits that uvicorn lacks outside of bodies."""

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

LONGEST = 64 * 1024  # bytes of a head or of trailers, not counting the data that came with their first byte
LONGEST_ADDRESS = LONGEST - 1  # the parser counts in 16 bits
MOST_OWED = 64  # pipelined requests; a client that sends more must send the rest again
LINGERS_SECONDS = 1.0
MOST_WANTED = 65_536  # file descriptors
KEPT_BACK = 256  # file descriptors for everything else: the ledger, mail servers, webhooks
TOLD_EVERY_SECONDS = 60.0

logger = logging.getLogger("waypost.gateway")

_BODY = {b"content-length", b"transfer-encoding"}
_NO_HTTP = Problem("malformed", "this is not an HTTP/1.1 request; nothing was accepted")
_NO_OTHER = Problem("malformed", "protocol upgrades are not supported; remove the header Upgrade")


@cache
def most() -> int:
    """The maximum number of connections: the file descriptors that the process may open, minus those that it
    needs itself. The process first increases its limit as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_WANTED if hard == resource.RLIM_INFINITY else min(hard, MOST_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # some systems have another limit below the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    had = MOST_WANTED if soft == resource.RLIM_INFINITY else min(soft, MOST_WANTED)
    return max(had - KEPT_BACK, had // 2)


class TooManyOwed(Exception):
    """A client sent more pipelined requests than it may have outstanding (RFC 9112, section 9.3.2)."""


class Connection(HttpToolsProtocol):
    """Refuses heads or trailers that are too long (RFC 6585, section 5), requests that do not arrive in time,
    and data that is not HTTP. Trailers are read and dropped (RFC 9110, section 6.5.1): no route uses them,
    and a trailer must not add a header after the headers were checked.

    A refusal is sent only if no response is outstanding. Clients match responses to requests by order alone,
    so a refusal in the place of another response would say that an accepted request was refused. Otherwise
    the outstanding responses are sent, and then the connection is closed without the refusal.
    """

    longest = LONGEST
    request_seconds = 60.0  # for a request to arrive completely, and for the first request to begin
    answer_seconds = 60.0  # for a client to read on once its write buffer is full
    kept_open = 75  # seconds without a request; a shorter time risks closing just as a client sends the next
    most = staticmethod(most)

    _told_at = -math.inf  # when too many connections were last logged

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # pyright: ignore[reportArgumentType]
        self._in_head = self._in_message = False
        self._deaf = False  # input is ignored; outstanding responses are still sent
        self._since = 0  # bytes since the parser last completed a part
        self._owed = 0  # outstanding responses to requests whose heads are complete
        self._late: TimerHandle | None = None
        self._unread: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)  # pyright: ignore[reportArgumentType]
        if len(self.connections) > self.most():
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
        """The client stopped reading, and its data stays in memory: abort after `answer_seconds`."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._has_taken_it()
        super().resume_writing()

    def _has_taken_it(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A client that closes its sending side still gets its responses (RFC 9112, section 9.6); TLS has no
        half-close."""
        hears = bool(self._owed) and not self._in_message and self.scheme == "http"
        self._deaf = self._deaf or hears
        return hears

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        ends = data.find(b"\r\n\r\n") if self._in_head else -1
        self._since += len(data) if ends < 0 else ends
        if self._in_head and self._since > self.longest:
            self._refuse(self._head_too_long())
            return
        super().data_received(data)
        if not self._in_head and self._since > self.longest:
            self._refuse(self._head_too_long())
        elif self._in_message or not self._owed:  # most requests arrive whole and need no timer
            self._expect_the_rest()

    def on_message_begin(self) -> None:
        self._in_head = self._in_message = True
        self._since = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._since = 0
        upgrade = self.parser is not None and self.parser.should_upgrade()
        if upgrade and _BODY & {name for name, _ in self.headers}:
            self._refuse(_NO_OTHER)  # the parser takes the body for data of the other protocol
            return
        if len(self.url) > min(self.longest, LONGEST_ADDRESS):
            self._refuse(self._head_too_long())
            return
        if self._owed >= MOST_OWED:
            self._deaf = True
            raise TooManyOwed  # so that the parser ignores the rest
        super().on_headers_complete()  # raises for an invalid address, while `_in_head` is still true
        self._in_head = False
        self._owed += 1
        self.headers = []  # trailers are added here and never read

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

    def _head_too_long(self) -> Problem:
        return Problem("head-too-long", f"the URL and the headers are larger than {self.longest:,} bytes")

    def _slow(self) -> Problem:
        return Problem("too-slow", f"the request was not complete within {self.request_seconds:g} s")

    def _tell_of_too_many(self) -> None:
        if self.loop.time() - Connection._told_at >= TOLD_EVERY_SECONDS:
            Connection._told_at = self.loop.time()
            logger.warning(
                "connection limit reached, %d are open: new connections are closed at once", self.most()
            )

    def _expect_the_rest(self) -> None:
        if self._late is None and not self._deaf:
            self._late = self.loop.call_later(self.request_seconds, self._too_late)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if self._in_message:
            self._refuse(self._slow())
        else:
            self.transport.close()

    def _refuse(self, why: Problem) -> None:
        """Ignore further input, and close the connection after all outstanding responses."""
        self._deaf = True
        self._expect_nothing()
        had_an_answer = False
        if self._in_message and not self._in_head:  # the body is refused, so its request never completes
            had_an_answer = self.cycle.response_started
            if not self.cycle.response_complete:
                self._drop_the_last()
        if self._owed:
            return
        if not had_an_answer:
            self._tell(why)
        self._end()

    def _end(self) -> None:
        """Close the sending side, drop further input for LINGERS_SECONDS, then close (RFC 9112, section 9.6).
        Closing with unread input resets the connection, and the client may lose the last response."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGERS_SECONDS, self.transport.close)

    def _drop_the_last(self) -> None:
        self._owed -= 1
        if self.pipeline:
            self.pipeline.popleft()  # its handler had not started yet
        else:
            self.cycle.disconnected = True  # as if the client had left: the response is discarded
            self.cycle.message_event.set()

    def _tell(self, why: Problem) -> None:
        answer = why.response()
        metrics.count("other", "none", answer.status_code)
        head = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        status = f"HTTP/1.1 {answer.status_code} {why.kind.reason}\r\n".encode()
        self.transport.write(status + head + b"connection: close\r\n\r\n" + cast(bytes, answer.body))
