"""A provider's reply without what it repeats of the message. Pure.

A client chooses its recipients, subjects and file names, and a provider may repeat them. A rule that looks
for words in a reply must not find them there: `<ehlo.1@x.example>: Access denied` says nothing about EHLO.
People still read the whole reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from urllib.parse import unquote

from waypost.policy.redaction.redact import SHOWN_INSTEAD, without

_OF_AN_ADDRESS = r"[^\s<>()\[\],;:\"'@]"
_QUOTED = re.compile(
    r"<(?:[^<>\s]*+|[^<>@]*+@[^<>]*+)>"
    r"|\"[^\"]*+\"@[^\s<>]++"
    r"|(?<!\w)([\"'])(?=[^\s\"']*[.@])[^\s\"']*+\1"
    rf"|(?<!{_OF_AN_ADDRESS}){_OF_AN_ADDRESS}++@(?:{_OF_AN_ADDRESS}|@)*+"
)
_WORD = re.compile(r"[^\W_]+")
_RUN = 3  # words in a row that a longer text shares with a reply only if the reply repeats it
_FILE_NAME = re.compile(rb"name(?:\*\d{0,3})?\*?=\"?(?:utf-8'')?([^\"\r\n;]{1,250})", re.IGNORECASE)
_MOST_FILES = 100


def without_addresses(words: str) -> str:
    """`words` with asterisks for each address, each token in angle brackets, and each address, host or file
    name in quotes."""
    return _QUOTED.sub(SHOWN_INSTEAD, unquote(words) if "%" in words else words)


def without_words_of(words: str, chosen: Iterable[str]) -> str:
    """`words` with asterisks for what they repeat of the texts in `chosen`: a whole text of up to three
    words, or three words in a row of a longer one. Case and punctuation do not matter."""
    runs = {run for text in chosen for run in _runs(text)}
    found = list(_WORD.finditer(words)) if runs else []
    names = [one[0].casefold() for one in found]
    repeated = (
        (found[at].start(), found[at + size - 1].end())
        for size in {len(run) for run in runs}
        for at in range(len(names) - size + 1)
        if tuple(names[at : at + size]) in runs
    )
    return without(words, repeated)


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    names: Sequence[str] = [one.casefold() for one in _WORD.findall(text)]
    size = min(_RUN, len(names))
    if size:
        yield from (tuple(names[at : at + size]) for at in range(len(names) - size + 1))


def names_in(address: str) -> tuple[str, ...]:
    """What a reply may repeat of an address: its local part, with and without a tag, and its domain."""
    local, _, domain = address.rpartition("@")
    return local, local.partition("+")[0], domain


def file_names(mail: bytes) -> list[str]:
    """The names of files in a mail's headers, up to 100."""
    found = islice(_FILE_NAME.finditer(mail), _MOST_FILES)
    return [unquote(one[1].decode("utf-8", "replace")) for one in found]
