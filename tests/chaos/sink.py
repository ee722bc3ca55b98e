"""A mail server that takes every mail, and logs it before it responds. While a file beside LOG ends in
.refusing, it refuses recipients whose address contains "refused".

`python sink.py LOG [SECONDS [PORT]]`: its first line of output is its port. LOG gets a line per mail, written
before the 250: time, recipient, Message-ID. SECONDS: the delay of the 250, during which the mail is taken
and its sender does not know.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path

import uvloop

from waypost.system.child_process import stop_with_parent

END = b"\r\n.\r\n"
MESSAGE_ID = re.compile(rb"^Message-ID:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
ANSWERS = {
    b"EHLO": b"250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


class Session(asyncio.Protocol):
    """One connection. Its client waits for every response: no command is pipelined."""

    def __init__(self, log: int, wait: float, refusing: Path) -> None:
        self._log = log
        self._refusing = refusing
        self._wait = wait
        self._buffer = b""
        self._to = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._in_data:
            self._obey()
        elif self._buffer.endswith(END):
            self._take()

    def _obey(self) -> None:
        line, ended, _ = self._buffer.partition(b"\r\n")
        if not ended:
            return
        self._buffer = b""
        verb = line[:4].upper()
        if verb == b"RCPT":
            self._to = line.partition(b"<")[2].partition(b">")[0]
            if b"refused" in self._to and self._refusing.exists():
                self._transport.write(b"550 5.7.1 not accepted now\r\n")
                return
        self._in_data = verb == b"DATA"
        self._transport.write(ANSWERS.get(verb, b"250 ok\r\n"))

    def _take(self) -> None:
        found = MESSAGE_ID.search(self._buffer)
        id = found[1] if found else b"none"
        os.write(self._log, b"%f %s %s\n" % (time.time(), self._to, id))
        self._buffer, self._in_data = b"", False
        asyncio.get_running_loop().call_later(self._wait, self._transport.write, b"250 noted\r\n")


async def main(log: Path, wait: float, port: int = 0) -> None:
    """Take mail until the parent process has ended."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = await asyncio.get_running_loop().create_server(
        lambda: Session(file, wait, log.with_suffix(".refusing")), "127.0.0.1", port
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    stop_with_parent()
    await server.serve_forever()


if __name__ == "__main__":
    _, given, seconds, chosen = (*sys.argv, "0", "0")[:4]
    uvloop.run(main(Path(given), float(seconds), int(chosen)))
