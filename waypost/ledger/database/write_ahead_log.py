"""Checks that SQLite's write-ahead log begins and ends as its index says, and keeps what the last look saw.

SQLite goes on committing to a log that was cut short or overwritten, and those commits are lost once its
index is gone: SQLite does not check. The formats are those of https://www.sqlite.org/walformat.html, and of
WalIndexHdr in SQLite's wal.c: the index (-shm) begins with two copies of a header, which names the page's
size, the last frame, its checksum and the log's salts; the log (-wal) begins with a header of 32 bytes, and
each frame is a page with a header of 24 bytes before it.

A page's checksum takes longer to compute than a look may take. So a look compares two frames: the header of
the last frame with the index, and the frame that was the last at the look before with its content then. The
second shows that the log was cut in between: a commit behind the cut makes the log as long as before.
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from typing import NamedTuple

_INDEX_HEADER = struct.Struct("=14x HI 4x 2I 8s 8x")  # each of the two copies, in the machine's byte order
_LOG_HEADER = struct.Struct(">I 4x I 4x 8s 2I")
_FRAME_HEADER = 24
_SIGNED = slice(8, 24)  # of a frame's header: the salts and the checksum
_CHECKSUM = struct.Struct(">2I")
_SUMMED = 24  # bytes of the log's header that its checksum covers
_ORDERS = {0x377F0682: "<", 0x377F0683: ">"}  # byte order of the words in a checksum, by the log's magic
_WORD = 0xFFFF_FFFF
_LARGEST_PAGE, _LARGEST_PAGE_WRITTEN = 65_536, 1  # in the two bytes of the index
_DESCRIPTORS = "/dev/fd"  # this process's, on Linux and macOS
_TRIES = 5  # a header that changes while it is read is read again

Identity = tuple[int, int]


class _Seen(NamedTuple):
    """The log at one look: its header, and its last frame."""

    header: bytes
    place: int
    frame: bytes


class WriteAheadLog:
    """The log of one ledger and its index, read over SQLite's descriptors of them. Opening and closing the
    index here would drop SQLite's locks on it (POSIX: a process that closes one descriptor of a file loses
    all its locks on the file). Only one thread may look at a time."""

    def __init__(self) -> None:
        self._index: int | None = None
        self._log: int | None = None
        self._seen: _Seen | None = None

    def fault(self, index: Identity, log: Identity) -> str | None:
        """What is wrong with the log, if anything: index and log are the files at the ledger's path."""
        self._index, self._log = _descriptor(index, self._index), _descriptor(log, self._log)
        if self._index is None or self._log is None:
            return None
        try:
            wrong = self._agreed(self._index, self._log)
        except OSError:  # SQLite has just closed it
            return None
        # SQLite may have closed either file meanwhile, and its descriptor may be another file's now.
        return wrong if wrong and _is(self._index, index) and _is(self._log, log) else None

    def fault_since(self, index: Identity, log: Identity) -> str | None:
        """Like `fault`, but cheaper if the log still has the header and the frame that the last look saw:
        frames written since are not checked then."""
        return None if self._is_as_seen() else self.fault(index, log)

    def _is_as_seen(self) -> bool:
        if self._seen is None or self._log is None:
            return False
        try:
            header = os.pread(self._log, _LOG_HEADER.size, 0)
            return header == self._seen.header and self._keeps(header, self._log)
        except OSError:
            return False

    def _agreed(self, index: int, log: int) -> str | None:
        for _ in range(_TRIES):
            header = _header(index)
            if header is not None:
                wrong = self._compared(header, log)
                if wrong is None or _header(index) == header:
                    return wrong
        return None

    def _compared(self, index_header: bytes, log: int) -> str | None:
        page, last, first, second, salts = _INDEX_HEADER.unpack(index_header)
        if not last:
            return None  # all of the log is in the ledger's file: the next frame will be its first
        size = _FRAME_HEADER + (_LARGEST_PAGE if page == _LARGEST_PAGE_WRITTEN else page)
        place = _LOG_HEADER.size + (last - 1) * size
        frame = os.pread(log, size, place)
        if len(frame) < size:
            return "cut short"
        header = os.pread(log, _LOG_HEADER.size, 0)
        if (
            _begun(header) != (size - _FRAME_HEADER, salts)
            or frame[_SIGNED] != salts + _CHECKSUM.pack(first, second)
            or not self._keeps(header, log)
        ):
            return "overwritten"
        self._seen = _Seen(header, place, frame)
        return None

    def _keeps(self, header: bytes, log: int) -> bool:
        """Whether the frame seen before is still there. A log with another header began anew since."""
        seen = self._seen
        if seen is None or seen.header != header:
            return True
        return os.pread(log, len(seen.frame), seen.place) == seen.frame


def _descriptor(wanted: Identity, known: int | None) -> int | None:
    """A descriptor of the file in this process; None where it has none, or the system does not tell."""
    if known is not None and _is(known, wanted):
        return known
    try:
        mine = [int(name) for name in os.listdir(_DESCRIPTORS)]
    except OSError:
        return None
    return next((one for one in mine if _is(one, wanted)), None)


def _is(descriptor: int, wanted: Identity) -> bool:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == wanted


def _header(index: int) -> bytes | None:
    """The header of the index; None while it is being written."""
    both = os.pread(index, 2 * _INDEX_HEADER.size, 0)
    header = both[: _INDEX_HEADER.size]
    return header if both == header * 2 and header else None


@lru_cache(maxsize=1)  # each look asks for the same header, until the log begins anew
def _begun(header: bytes) -> tuple[int, bytes] | None:
    """The page's size and the salts; None when the log's header is not whole."""
    if len(header) < _LOG_HEADER.size:
        return None
    magic, page, salts, first, second = _LOG_HEADER.unpack(header)
    order = _ORDERS.get(magic)
    if order is None or _checksum(header[:_SUMMED], order) != (first, second):
        return None
    return page, salts


def _checksum(content: bytes, order: str) -> tuple[int, int]:
    first = second = 0
    for one, other in struct.iter_unpack(f"{order}2I", content):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return first, second
