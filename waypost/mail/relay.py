"""A finished mail on its way to one recipient: what its author wrote, under a Message-ID of ours."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from uuid import UUID

from waypost.mail.build import Sender, message_id
from waypost.mail.raw_message import FinishedMail

_ID = re.compile(rb"<[^<>\s]+>")


def passed_on(mail: FinishedMail, id: UUID, sender: Sender, date: datetime) -> bytes:
    """`mail` as it goes out. Its body is what it was, byte for byte, and so is its header but for this:

    Message-ID is derived from the notification, as every mail's is, so that all attempts carry one. The
    author's becomes the last of References (RFC 5322, section 3.6.4): their later mails refer to that, and
    a reader still shows the two as one conversation. `date` stands in where they wrote none.
    """
    ours = [(b"message-id", f"Message-ID: {message_id(id, sender)}".encode())]
    if not mail.value("Date"):
        ours.append((b"date", f"Date: {format_datetime(date)}".encode()))
    if references := _references(mail):
        ours.append((b"references", references))
    kept = mail.to_pass_on().without("Message-ID", *(["References"] if references else []))
    return bytes(replace(kept, fields=(*kept.fields, *ours)))


def _references(mail: FinishedMail) -> bytes:
    """What it referred to, then its author's own Message-ID, one to a line; empty without the latter."""
    if not mail.message_id:
        return b""
    before = mail.value("References") or mail.value("In-Reply-To")
    own = mail.message_id.encode()
    return b"References: " + b"\r\n ".join([*_ID.findall(before.encode()), own])
