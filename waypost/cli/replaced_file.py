"""A file that a command writes: the file of before stays until the new one is complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def replaced(file: Path, even_unfinished: bool = False) -> Generator[IO[str]]:
    """A text that takes the place of `file` as the block ends. If the block raises, `file` stays as it was.

    even_unfinished: it takes the place then too: what it has says what was done until then. A device or a
    pipe is written to at once.
    """
    target = file.resolve()
    if target.exists() and not target.is_file():
        with target.open("w", encoding="utf-8", newline="") as opened:
            yield opened
        return
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("x", encoding="utf-8", newline="") as opened:
            with suppress(FileNotFoundError):
                os.fchmod(opened.fileno(), target.stat().st_mode & 0o777)
            yield opened
    except BaseException:
        if even_unfinished and part.exists():
            part.replace(target)
        part.unlink(missing_ok=True)
        raise
    part.replace(target)
