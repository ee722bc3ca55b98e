"""A provider's words, doubled: reading them costs as much as they are long, and holds no loop for 50 ms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.costly_texts import IN_A_HEAD, IN_JSON, filled
from support.stopwatch import Loop, judge, spent
from uuid_utils.compat import uuid7

from waypost.channels.redacted import RedactedChannel
from waypost.channels.smtp import connection
from waypost.channels.webhook import response_text
from waypost.model.notification import Message, Notification, ResolvedRecipient
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.priority import Priority
from waypost.policy import classify
from waypost.policy.redaction.minted_texts import MOST_VALUES

MOST_WORDS = connection.MOST_LINES * connection.LONGEST_LINE
LONGEST_LINK = 256 * 1024  # bytes of a request
SHAPES = (*IN_A_HEAD, "\n", "\x00", "\u00e9", "\u00df", "1 ", "try again in 5 minutes ", " ")
REFUSED = Outcome(Verdict.REFUSED, Phase.DOT, code=400, words="HTTP 400")

pytestmark = pytest.mark.long


def test_the_lines_of_a_mail_servers_reply():
    judge((f"a reply of {shape!r}", lambda n, s=shape: reading(filled(s, n)), MOST_WORDS) for shape in SHAPES)


def reading(said: str):
    return spent(lambda: classify.smtp(450, said, Phase.RCPT))


def test_what_a_webhook_answers():
    def act(size, shape):
        body, told = filled(shape, size).encode(), response_text.private_words(filled(shape, LONGEST_LINK))
        return spent(lambda: response_text.with_words(REFUSED, body, told))

    judge(
        (f"an answer of {shape!r}", lambda n, s=shape: act(n, s), response_text.WORDS_READ)
        for shape in (*IN_JSON, *SHAPES)
    )


class Saying(RedactedChannel):
    """A channel whose provider says `words`."""

    words = ""

    async def _open(self) -> None: ...

    async def _send(self, message: Message) -> Outcome:
        return Outcome(Verdict.REFUSED, Phase.DOT, code=550, words=self.words)


def message(private: tuple[str, ...], facts: object) -> Message:
    moment = datetime.now(UTC)
    person = ResolvedRecipient("ada", "ada@a.example", "+4917012345", "Ada", "en", "UTC")
    asked = Notification(
        uuid7(), "note", Priority.NORMAL, person, {"at": facts}, 1, moment, moment + timedelta(hours=1)
    )
    return Message(asked, "email", "ada@a.example", "A", b"A", private)


def test_words_that_repeat_a_secret():
    with Loop() as loop:

        def act(size: int, shape: str):
            """Words of the form of the secret, which is what makes a search for it dear."""
            said = filled(shape, classify.WORDS_KEPT - 1) + "/"
            return redacting(loop, said, message((filled(shape, size),), "https://" + filled(shape, size)))

        judge(
            (f"a secret of {shape!r}", lambda n, s=shape: act(n, s), LONGEST_LINK)
            for shape in SHAPES
            if shape.strip()
        )


def redacting(loop: Loop, said: str, told: Message):
    channel = Saying("a")
    channel.words = said
    return loop.spent(lambda: loop.run(channel.send(told)))


LINKS = {
    "many links": lambda number: f"http://a.b/{number:x}",
    "a link again and again": lambda _: "http://a.b/x",
    "links that begin alike": lambda number: "http://a.b/" + "x" * (number % 300) + f"{number:x}",
    "links in links": lambda number: "http://" * (number % 9) + f"{number:x}",
}
QUOTED_LINKS = {
    "the id of a queue": "Ok: queued as 4F/x9",
    "another link": "no such user, see https://support.example/mail/" + "x" * 150 + " and more",
    "a link of the facts": "spam: http://a.b/x, http%3A%2F%2Fa.b%2F1f and aHR0cDovL2EuYi8x",
    "the beginning of their links": "the message is spam " * 12 + "http://a.b/",
    "the longest link": "spam: http://a.b/" + "x" * 480,
    "links in links": "http://" * 70,
}


@pytest.mark.parametrize("kind", ["a text", "texts"])
def test_words_that_may_quote_a_link_of_the_facts(kind):
    with Loop() as loop:

        def act(size: int, link: Callable[[int], str], said: str):
            many = [link(number) for number in range(size // len(link(998) + " "))]
            return redacting(loop, said, message((), many if kind == "texts" else " ".join(many)))

        judge(
            (f"{words} and {links}", lambda n, a=link, b=said: act(n, a, b), LONGEST_LINK)
            for links, link in LINKS.items()
            for words, said in QUOTED_LINKS.items()
        )


def test_words_about_a_message_with_many_minted_values():
    with Loop() as loop:

        def act(count: int, length: int, said: str):
            minted = tuple(f"{number:04}" + "\u00e9 " * (length // 2) for number in range(count))
            return redacting(loop, said, message(minted, ""))

        judge(
            (
                f"values of {length} letters and {said[:9]}",
                lambda n, a=length, b=said: act(n, a, b),
                MOST_VALUES,
            )
            for length in (0, 5_000)
            for said in ("spam: 0001 " * 40, "1 2 3 4 5 " * 49)
        )


LARGEST_MAIL, LONG_MAIL = 10 * 1024 * 1024, 1024 * 1024
LINES = {
    "words": b"a word and the next of a line\r\n",
    "digits": b"7 3 1 5 4\r\n",
    "base64": b"QUJD" * 19 + b"\r\n",
    "base64, a letter a line": b"QQ\r\n",
    "base64 that ends on each line": b"QQ==\r\n",
    "quoted-printable": b"=41=\r\n",
    "percents": b"%41%2F" * 12 + b"\r\n",
    "entities": b"&#52;&amp;" * 9 + b"\r\n",
    "long lines": b"a" * 998 + b"\r\n",
}
QUOTES = {
    "a code and a link": "spam: 482 913 of https://a.example/reset/Zk3abc",
    "many codes": "A7K9-QX2P ",
    "digits apart": "1 2 ",
    "a link again and again": "https://a.example/%41/ ",
    "64 KB": "spam 482 913 " * 5_000,
}


def test_words_that_may_quote_a_mail_whose_author_composed_it():
    with Loop() as loop:

        def act(size: int, line: bytes, quoted: str):
            channel = Saying("a")
            outcome = classify.smtp(550, f"5.7.1 {quoted * 50}", Phase.DOT)
            channel.words = outcome.words
            content = line * (size // len(line))
            asked = message((), "https://" + content.decode())  # the mail is a fact of its type
            mail = replace(asked, content=content, composed=True)
            return loop.spent(lambda: loop.run(channel.send(mail)))

        judge(
            (f"{words} of a mail of {name}", lambda n, a=line, b=said: act(n, a, b), size)
            for name, line in LINES.items()
            for words, said in QUOTES.items()
            for size in [LARGEST_MAIL if (name, words) == ("words", "a code and a link") else LONG_MAIL]
            if "words" in name or words == "a code and a link"
        )
