"""The sample order confirmations, as the parts from which a mail is built."""

from __future__ import annotations

import email
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from time import process_time
from typing import TypeVar, cast
from uuid import UUID

from benchmarks.harness import sample_orders, servers

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Letter:
    """The recipient and the contents of a mail. raw: the mail as a run builds it."""

    id: UUID
    to: str
    to_name: str
    subject: str
    plain: str
    html: str
    date: datetime
    raw: bytes


def letters(count: int) -> list[Letter]:
    """`count` orders, rendered as a run renders them and read back by the standard library."""
    with servers.new_home() as home:
        made = [one.messages["email"] for one in sample_orders.rendered(home, count)]
    return [_letter(one.notification.id, one.content) for one in made]


def _letter(id: UUID, raw: bytes) -> Letter:
    read = cast(EmailMessage, email.message_from_bytes(raw, policy=policy.default))
    [to] = read["To"].addresses
    bodies = {part.get_content_subtype(): _as_rendered(part.get_content()) for part in read.iter_parts()}
    return Letter(
        id, to.addr_spec, to.display_name, str(read["Subject"]), bodies["plain"], bodies["html"],
        read["Date"].datetime, raw,
    )  # fmt: skip


def _as_rendered(text: str) -> str:
    return text.replace("\r\n", "\n")


def rate(of: Callable[[T], object], items: Sequence[T], seconds: float) -> float:
    """Calls of `of` per second of this process's own time, over rounds of `items` for at least `seconds`.
    Other work on the machine does not count."""
    began, done = process_time(), 0
    while process_time() - began < seconds:
        for item in items:
            of(item)
        done += len(items)
    return done / (process_time() - began)
