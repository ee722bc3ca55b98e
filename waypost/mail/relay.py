"""A finished mail for one recipient: the author's mail under our Message-ID."""

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
    """`mail` as it is sent. Its body is unchanged, byte for byte. Its header loses Bcc, trace fields and old
    signatures.

    Message-ID is derived from the notification, as in every mail, so that it is equal in all attempts. The
    author's Message-ID becomes the last of References (RFC 5322, section 3.6.4): the author's later mails
    refer to it, and a reader still shows one conversation. `date` is used if the mail has no Date.
    """
    ours = [(b"message-id", f"Message-ID: {message_id(id, sender)}".encode())]
    if not mail.value("Date"):
        ours.append((b"date", f"Date: {format_datetime(date)}".encode()))
    if references := _references(mail):
        ours.append((b"references", references))
    kept = mail.to_pass_on().without("Message-ID", *(["References"] if references else []))
    return bytes(replace(kept, fields=(*kept.fields, *ours)))


def _references(mail: FinishedMail) -> bytes:
    """The mail's references, then its author's Message-ID, one a line; empty without that Message-ID."""
    if not mail.message_id:
        return b""
    before = mail.value("References") or mail.value("In-Reply-To")
    own = mail.message_id.encode()
    return b"References: " + b"\r\n ".join([*_ID.findall(before.encode()), own])
