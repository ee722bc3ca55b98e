"""What a command says when Ctrl-C ends it early."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from waypost.cli.output import complain


@contextmanager
def told_if_interrupted(words: Callable[[], str]) -> Generator[None]:
    """If Ctrl-C ends the block, say what is done and what to do next. The exit status is 130, as of every
    command that Ctrl-C ends."""
    try:
        yield
    except KeyboardInterrupt:
        complain(words())
        raise
