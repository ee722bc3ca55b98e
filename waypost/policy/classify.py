"""What a provider's reply means: pure functions from codes and words to an Outcome."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy import blame, classify
from waypost.policy.redaction import quoted_message

_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_WAIT = re.compile(r"\b(\d{1,5})\s*(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?)\b", re.I)
_PIPELINING = re.compile("pipelin|synchroni[sz]ation", re.I)
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}
_LONGEST_WAIT = timedelta(hours=6)
WORDS_KEPT = 500
_WORDS_READ = 10_000  # a reply may have four million characters, which take a quarter of a second


def smtp(code: int, text: str, phase: Phase, chosen: Iterable[str] = ()) -> Outcome:
    """The outcome of an SMTP reply that ended the dialogue at `phase` (RFC 5321, section 4.2.1).

    chosen: the names and texts that the message's client chose, which the reply may repeat. Neither they nor
    addresses decide what the reply means.
    """
    whole = _readable(text)
    words = whole[:WORDS_KEPT]
    enhanced = _ENHANCED.match(words)
    if 200 <= code < 300 and phase is Phase.DOT:
        verdict = Verdict.ACCEPTED
    elif 500 <= code < 600:
        verdict = Verdict.REFUSED
    elif phase is Phase.DOT and not 400 <= code < 500:
        verdict = Verdict.UNKNOWN  # the message was on the wire, and this reply does not answer it
    else:
        # 4xx, and meaningless codes: the message was not taken, and a later try may succeed.
        verdict = Verdict.DEFERRED
    found = Outcome(
        verdict,
        phase,
        code=code,
        enhanced=enhanced.group(1) if enhanced else None,
        words=words[enhanced.end() :] if enhanced else words,
    )
    if verdict is Verdict.ACCEPTED:
        return found
    sure = quoted_message.without_addresses(whole)[:WORDS_KEPT]
    bare = quoted_message.without_words_of(sure, chosen)
    wait = wait_named(bare) if verdict is Verdict.DEFERRED else None
    return _unless_about_us(replace(found, wait=wait), (sure, bare))


def pipelining_doubted(text: str, chosen: Iterable[str] = ()) -> bool:
    """Whether an SMTP reply complains about pipelining. chosen: see `smtp`."""
    sure = quoted_message.without_addresses(_readable(text))
    return _PIPELINING.search(quoted_message.without_words_of(sure, chosen)) is not None


def _unless_about_us(found: Outcome, readings: tuple[str, str]) -> Outcome:
    """A refusal of us does not refuse the message, which may be taken later.

    readings: the reply without addresses, and also without the words that the client chose. If only one of
    them is about us, a word such as `relay` may be the server's or the recipient's name: the message may be
    tried again, and nothing is held against the provider.
    """
    code = found.code or 0
    if not 400 <= code < 600 or found.verdict not in (Verdict.REFUSED, Verdict.DEFERRED):
        return found
    about = [blame.about_us(code, found.enhanced, reading, found.phase) for reading in readings]
    if not any(about):
        return found
    return replace(found, verdict=Verdict.DEFERRED, about_us=about[-1] if all(about) else "")


def _readable(text: str) -> str:
    """A server's text as one line that can be stored: PostgreSQL's text type rejects NUL, and every database
    rejects lone surrogates, which stand for bytes that are not UTF-8. Reads _WORDS_READ characters."""
    text = text[:_WORDS_READ]
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    clean = text.encode("utf-8", "replace").decode()
    return " ".join("".join(letter if letter.isprintable() else " " for letter in clean).split())


def wait_named(words: str) -> timedelta | None:
    """The wait a deferral names ("try again in 5 minutes"), at most six hours."""
    found = _WAIT.search(words)
    if found is None:
        return None
    return min(int(found.group(1)) * _UNITS[found.group(2)[0].lower()], _LONGEST_WAIT)


def lost(phase: Phase, words: str) -> Outcome:
    """The outcome of a lost connection, or of a response that did not come in time, at `phase`.

    Before the final dot nothing was taken; after it the message may have been taken.
    """
    verdict = Verdict.UNKNOWN if phase is Phase.DOT else Verdict.DEFERRED
    return Outcome(verdict, phase, words=_readable(words)[:WORDS_KEPT])


def broken(phase: Phase, words: str) -> Outcome:
    """The outcome of an attempt that an error of ours ended at `phase`.

    Before the final dot nothing was taken, and the same message would meet the same error again. After it the
    message may have been taken.
    """
    verdict = Verdict.UNKNOWN if phase is Phase.DOT else Verdict.REFUSED
    return Outcome(verdict, phase, words=_readable(words)[:WORDS_KEPT])


def too_late() -> Outcome:
    """The outcome of a message that was not offered because its deadline passed on the way."""
    return Outcome(Verdict.DEFERRED, Phase.CONNECT, words="not sent: its deadline had passed")


def decided_here(outcome: Outcome) -> bool:
    """Whether the provider had no part in the outcome: the message was past its deadline, or refused before
    the provider was asked."""
    return outcome == too_late() or (outcome.verdict is Verdict.REFUSED and outcome.code is None)


def http(status: int, words: str = "", *, fixed: bool = False) -> Outcome:
    """The outcome of a web API's HTTP status. words: the response's text, which is not kept here.
    fixed: the URL alone names the recipient, so that 404 is about the URL."""
    ours = blame.credential_refused(status, words, fixed=fixed)
    if 200 <= status < 300:
        verdict = Verdict.ACCEPTED
    elif ours or status in (408, 425, 429) or status >= 500:
        verdict = Verdict.DEFERRED
    else:
        verdict = Verdict.REFUSED
    about_us = blame.LOGIN if ours else ""
    return Outcome(verdict, Phase.DOT, code=status, words=f"HTTP {status}", about_us=about_us)


_SECONDS = re.compile(r"[0-9]{1,10}\Z")
_MOST_SECONDS = 99_999  # the most that wait_named reads; its own limit is lower


def outcome(status: int, headers: Iterable[tuple[bytes, bytes]], moment: datetime) -> Outcome:
    """The outcome of a webhook's status, with the wait it names (RFC 9110, section 10.2.3) at `moment`."""
    meant = classify.http(status, fixed=True)
    if 300 <= status < 400:
        words = f"HTTP {status}: redirects are not followed; use the URL that it redirects to"
        return replace(meant, words=words)
    if meant.verdict is not Verdict.DEFERRED:
        return meant
    named = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return replace(meant, wait=wait(named.decode("latin-1").strip(), moment))


def wait(named: str, moment: datetime) -> timedelta | None:
    """A Retry-After header's wait from `moment` on: seconds, or a date. None when it names no wait."""
    if _SECONDS.match(named):
        seconds = int(named)
    else:
        try:
            until = parsedate_to_datetime(named)
        except (ValueError, OverflowError):
            return None
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = int((aware - moment).total_seconds())
    return classify.wait_named(f"{min(seconds, _MOST_SECONDS)} s") if seconds > 0 else None
