"""What a web service's answer to a webhook means: pure functions from status, headers and body."""

from __future__ import annotations

import codecs
import re
import string
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from waypost.channels import replies
from waypost.outcome import Outcome, Verdict

_SECONDS = re.compile(r"[0-9]{1,10}\Z")
_SHORTEST_TELLING = 3
_MOST_SECONDS = 99_999  # what replies.wait_named reads; its own limit is below that
WORDS_READ = 1024  # bytes of a body


def outcome(status: int, headers: Iterable[tuple[bytes, bytes]], moment: datetime) -> Outcome:
    """What a status says, with the wait it names (RFC 9110, section 10.2.3) as seen at `moment`."""
    meant = replies.http(status, fixed=True)
    if 300 <= status < 400:
        words = f"HTTP {status}: it redirects, which is not followed; set the address it redirects to"
        return replace(meant, words=words)
    if meant.verdict is not Verdict.DEFERRED:
        return meant
    named = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return replace(meant, wait=wait(named.decode("latin-1").strip(), moment))


def wait(named: str, moment: datetime) -> timedelta | None:
    """A Retry-After header's wait from `moment` on: seconds, or a date. None when it says nothing."""
    if _SECONDS.match(named):
        seconds = int(named)
    else:
        try:
            until = parsedate_to_datetime(named)
        except (ValueError, OverflowError):
            return None
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = int((aware - moment).total_seconds())
    return replies.wait_named(f"{min(seconds, _MOST_SECONDS)} s") if seconds > 0 else None


def with_words(found: Outcome, body: bytes, hidden: Iterable[str]) -> Outcome:
    """`found` with what the service said, when that was a no in text; `hidden` is left out of it."""
    if found.verdict is Verdict.ACCEPTED or (found.code or 0) // 100 == 3:
        return found
    said = _readable(body)
    for word in hidden:
        said = said.replace(word, "***")
    return replace(found, words=f"{found.words}: {said}"[: replies.WORDS_KEPT]) if said else found


def telling(text: str) -> list[str]:
    """What of a message is for its recipient alone (codes, numbers, links), the longest first: a service
    may repeat it in its answer."""
    found = {
        part
        for word in text.split()
        if "://" in word or any(letter.isdigit() for letter in word)
        for part in (word, word.strip(string.punctuation))
    }
    return sorted((word for word in found if len(word) >= _SHORTEST_TELLING), key=len, reverse=True)


def _readable(body: bytes) -> str:
    """The body as one line, or nothing when it is not text. Of one that was cut the last word is left out:
    half a secret would not be known for one."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(body)
    except UnicodeDecodeError:
        return ""
    if "\0" in text:
        return ""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    return " ".join(words[:-1] if len(body) >= WORDS_READ else words)
