"""A provider's words, doubled: reading them costs as much as they are long, and holds no loop for 50 ms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shapes_of_text import IN_A_HEAD, IN_JSON, filled
from stopwatch import judge, spent
from uuid_utils.compat import uuid7

from waypost.channels import replies, smtp_wire, webhook_answer
from waypost.channels.redacted import RedactedChannel
from waypost.notification import Message, Notification, Person
from waypost.outcome import Outcome, Phase, Verdict
from waypost.priority import Priority

MOST_WORDS = smtp_wire.MOST_LINES * smtp_wire.LONGEST_LINE
LONGEST_LINK = 256 * 1024  # bytes of a request
SHAPES = (*IN_A_HEAD, "\n", "\x00", "\u00e9", "\u00df", "1 ", "try again in 5 minutes ", " ")
REFUSED = Outcome(Verdict.REFUSED, Phase.DOT, code=400, words="HTTP 400")


def test_the_lines_of_a_mail_servers_reply():
    judge((f"a reply of {shape!r}", lambda n, s=shape: reading(filled(s, n)), MOST_WORDS) for shape in SHAPES)


def reading(said: str):
    return spent(lambda: replies.smtp(450, said, Phase.RCPT))


def test_what_a_webhook_answers():
    def act(size, shape):
        body, told = filled(shape, size).encode(), webhook_answer.telling(filled(shape, LONGEST_LINK))
        return spent(lambda: webhook_answer.with_words(REFUSED, body, told))

    judge(
        (f"an answer of {shape!r}", lambda n, s=shape: act(n, s), webhook_answer.WORDS_READ)
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
    person = Person("ada", "ada@a.example", "+4917012345", "Ada", "en", "UTC")
    asked = Notification(
        uuid7(), "note", Priority.NORMAL, person, {"at": link}, 1, moment, moment + timedelta(hours=1)
    )
    return Message(asked, "email", "ada@a.example", "A", b"A", (private,))


def redacting(shape: str, size: int):
    """Words of the form of the secret, which is what makes a search for it dear."""
    channel = Saying("a")
    channel.words = filled(shape, replies.WORDS_KEPT - 1) + "/"
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
