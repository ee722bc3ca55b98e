"""A provider's words, doubled: reading them costs as much as they are long, and holds no loop for 50 ms."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

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

MOST_WORDS = connection.MOST_LINES * connection.LONGEST_LINE
LONGEST_LINK = 256 * 1024  # bytes of a request
SHAPES = (*IN_A_HEAD, "\n", "\x00", "\u00e9", "\u00df", "1 ", "try again in 5 minutes ", " ")
REFUSED = Outcome(Verdict.REFUSED, Phase.DOT, code=400, words="HTTP 400")


def test_the_lines_of_a_mail_servers_reply():
    judge((f"a reply of {shape!r}", lambda n, s=shape: reading(filled(s, n)), MOST_WORDS) for shape in SHAPES)


def reading(said: str):
    return spent(lambda: classify.smtp(450, said, Phase.RCPT))


def test_what_a_webhook_answers():
    def act(size, shape):
        body, told = filled(shape, size).encode(), response_text.telling(filled(shape, LONGEST_LINK))
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


def message(private: str, link: str) -> Message:
    moment = datetime.now(UTC)
    person = ResolvedRecipient("ada", "ada@a.example", "+4917012345", "Ada", "en", "UTC")
    asked = Notification(
        uuid7(), "note", Priority.NORMAL, person, {"at": link}, 1, moment, moment + timedelta(hours=1)
    )
    return Message(asked, "email", "ada@a.example", "A", b"A", (private,))


def redacting(shape: str, size: int):
    """Words of the form of the secret, which is what makes a search for it dear."""
    channel = Saying("a")
    channel.words = filled(shape, classify.WORDS_KEPT - 1) + "/"
    told = message(filled(shape, size), "https://" + filled(shape, size))

    def send() -> None:
        try:
            channel.send(told).send(None)
        except StopIteration:
            return

    return spent(send)


def test_words_that_repeat_a_secret():
    judge(
        (f"a secret of {shape!r}", lambda n, s=shape: redacting(s, n), LONGEST_LINK)
        for shape in SHAPES
        if shape.strip()
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
            asked = message("", "https://" + content.decode())  # the mail is a fact of its type
            mail = replace(asked, content=content, composed=True)
            return loop.spent(lambda: loop.run(channel.send(mail)))

        judge(
            (f"{words} of a mail of {name}", lambda n, a=line, b=said: act(n, a, b), size)
            for name, line in LINES.items()
            for words, said in QUOTES.items()
            for size in [LARGEST_MAIL if (name, words) == ("words", "a code and a link") else LONG_MAIL]
            if "words" in name or words == "a code and a link"
        )
