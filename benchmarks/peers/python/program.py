"""The command line of every peer in Python: prepare, work, post SERIES COUNT, unfinished or clean."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import mails


def main(
    *,
    prepare: Callable[[], None] = lambda: None,
    work: Callable[[], None],
    post: Callable[[list[list[dict[str, Any]]]], None],
    unfinished: Callable[[], int],
    clean: Callable[[], None] = lambda: None,
) -> None:
    """Run what the command line asks for. `post` prints the time.time() of its first enqueue, and
    `unfinished` the number of mails that are not recorded as sent."""
    match sys.argv[1:]:
        case ["prepare"]:
            prepare()
        case ["work"]:
            work()
        case ["post", series, count]:
            batches = list(mails.batches(mails.orders(series, int(count))))
            print(time.time(), flush=True)
            post(batches)
        case ["unfinished"]:
            print(unfinished())
        case ["clean"]:
            clean()
        case _:
            sys.exit(__doc__)
