"""What SpamAssassin thinks of mails: by local tests, without a network, in one process for all."""

from __future__ import annotations

import mailbox
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from waypost.rendering.checks.finding import Level

SPAM = 5.0  # SpamAssassin's own limit, from which most servers sort a mail out
SUSPICIOUS = 2.0  # the sender's reputation, of which these tests know nothing, may add the rest
LONGEST = 300.0  # seconds for all mails

# The score of each rule, and no memory of earlier mails: the same mail has the same score on every machine.
_PREFERENCES = """
report_safe 0
use_bayes 0
clear_headers
add_header all Score _SCORE_
add_header all Rules _TESTSSCORES(,)_
"""
_NUMBER = "X-Waypost-Sample"


class NoSpamAssassin(Exception):
    """SpamAssassin is missing, or failed. Says which, and what to do."""


@dataclass(frozen=True, slots=True)
class SpamScore:
    """rules: the rules that hit, with their scores, the highest first; without those that count nothing."""

    score: float
    rules: tuple[tuple[str, float], ...]

    @property
    def level(self) -> Level | None:
        """A fault, a note, or nothing to say."""
        if self.score >= SUSPICIOUS:
            return Level.FAULT if self.score >= SPAM else Level.NOTE
        return None

    @property
    def said(self) -> str:
        rules = ", ".join(f"{name} {score:g}" for name, score in self.rules)
        return f"SpamAssassin gives it {self.score:g} ({rules}); change what these rules find"


def spam_scores(mails: Mapping[str, bytes]) -> dict[str, SpamScore]:
    """The score of each mail, by its key. Raises NoSpamAssassin."""
    program = shutil.which("spamassassin")
    if program is None:
        raise NoSpamAssassin("the spam score is not checked; install spamassassin")
    if not mails:
        return {}
    with TemporaryDirectory(prefix="waypost-spam-") as name:
        folder = Path(name)
        (folder / "preferences").write_text(_PREFERENCES)
        _write(folder / "mails", [*mails.values()])
        command = [
            program, "--local", f"--prefspath={folder}/preferences", "--mbox", str(folder / "mails"),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, timeout=LONGEST, check=True)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise NoSpamAssassin(f"spamassassin failed ({error}); run `spamassassin --lint`") from None
        try:
            found = _read(folder / "scored", done.stdout)
        except (ValueError, TypeError):  # a number or a header is not as it should be
            raise NoSpamAssassin("spamassassin's answer cannot be read; run it with --lint") from None
    if found.keys() != {*range(len(mails))}:
        raise NoSpamAssassin(f"spamassassin scored {len(found)} of {len(mails)} mails; run it with --lint")
    return {key: found[number] for number, key in enumerate(mails)}


def _write(path: Path, mails: list[bytes]) -> None:
    written = mailbox.mbox(path)
    for number, mail in enumerate(mails):
        written.add(b"%s: %d\n" % (_NUMBER.encode(), number) + mail.replace(b"\r\n", b"\n"))
    written.close()


def _read(path: Path, scored: bytes) -> dict[int, SpamScore]:
    path.write_bytes(scored)
    return {
        int(mail[_NUMBER]): SpamScore(float(mail["X-Spam-Score"]), _rules(mail["X-Spam-Rules"]))
        for mail in mailbox.mbox(path)
    }


def _rules(told: str) -> tuple[tuple[str, float], ...]:
    found = re.findall(r"(\w+)=(-?[\d.]+)", told)
    rules = [(name, float(score)) for name, score in found if abs(float(score)) >= 0.1]
    return tuple(sorted(rules, key=lambda rule: -rule[1]))
