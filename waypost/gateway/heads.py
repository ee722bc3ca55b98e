"""What comes before a request's body, read within a limit: the parser itself has none."""

from __future__ import annotations

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST = 64 * 1024  # bytes, beside what came with the first of them

LINGERS_SECONDS = 1.0


class BoundedHeads(HttpToolsProtocol):
    """A connection that is closed with 431 (RFC 6585, section 5) once a head goes on for too long."""

    _in_head = False
    _so_far = 0
    _refused = False

    def data_received(self, data: bytes) -> None:
        self._so_far = self._so_far + len(data) if self._in_head else 0
        if self._so_far > LONGEST:
            self._refuse()
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def _refuse(self) -> None:
        if self._refused:
            return  # what still comes is read and dropped: to close on it would take the answer back
        self._refused = True
        body = orjson.dumps(
            {
                "type": "about:blank",
                "title": "Request Header Fields Too Large",
                "status": 431,
                "detail": f"the address and the headers of a request may have {LONGEST:,} bytes",
                "code": "too-large",
            }
        )
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.loop.call_later(LINGERS_SECONDS, self.transport.close)
