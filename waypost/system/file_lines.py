"""Reads the lines of a file, with a limit on the bytes read of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO


def lines_of(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Each line of `file`; a line longer than `most` bytes is cut after `most` + 1. A file without
    line breaks does not fill the memory."""
    while line := file.readline(most + 1):
        ended = line.endswith(b"\n")
        yield line
        while not ended and (rest := file.readline(most)):
            ended = rest.endswith(b"\n")
