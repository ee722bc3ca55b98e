"""The messages in the mailbox's folder, read for its pages."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from heapq import nlargest
from pathlib import Path
from typing import Any

NAME = re.compile(r"(\d{8}T\d{12})-\d+\.(eml|json)")
MOST_LISTED, MOST_PARSED, MOST_SHOWN = (
    300,
    2000,
    100_000,
)  # characters of a line; of a header; bytes of a source
UNREADABLE = "(this mail cannot be read)"
MAIN_HEADERS = ("from", "to", "reply-to", "date", "message-id", "list-unsubscribe")


@dataclass(frozen=True, slots=True)
class Summary:
    """A line of the list. name: its file. kind: `mail` or `text`. at: when it arrived. sender: a mail's."""

    name: str
    kind: str
    at: datetime
    to: str
    subject: str
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail's parts. headers: all, as (name, value). files: names of its attachments."""

    subject: str
    headers: Sequence[tuple[str, str]]
    text: str | None
    html: str | None
    files: Sequence[str]

    @property
    def main_headers(self) -> list[tuple[str, str]]:
        """Those of most interest."""
        return [(name, value) for name, value in self.headers if name.lower() in MAIN_HEADERS]


def newest(folder: Path, most: int) -> list[Summary]:
    """The messages that arrived last, newest first. A name begins with the time of arrival."""
    names = nlargest(most, (path.name for path in folder.iterdir() if NAME.fullmatch(path.name)))
    return [_summary(path) for name in names if (path := folder / name).is_file()]


def find(folder: Path, name: str, suffix: str) -> Path | None:
    """The file of that name, if the mailbox keeps a message of this suffix (`.eml`, `.json`) under it."""
    known = NAME.fullmatch(name) and name.endswith(suffix)
    return folder / name if known and (folder / name).is_file() else None


def read_mail(path: Path) -> Mail:
    """The mail in a file."""
    return mail_of(path.read_bytes())


def mail_of(content: bytes) -> Mail:
    """The mail with these bytes. Parts that cannot be decoded are shown as far as they can; a mail that
    cannot be read at all is shown as its source."""
    try:
        return _mail(message_from_bytes(content, EmailMessage, policy=policy.default))  # pyright: ignore[reportArgumentType]
    except Exception:  # whatever the library raises for a damaged mail: the others can still be read
        source = content[:MOST_SHOWN].decode("utf-8", "replace")
        return Mail(UNREADABLE, headers=[], text=source, html=None, files=[])


def _mail(mail: EmailMessage) -> Mail:
    return Mail(
        subject=_header(mail, "Subject"),
        headers=[(_printable(name), _value(name, str(raw))) for name, raw in mail.raw_items()],
        text=_body(mail, "plain"),
        html=_with_images(mail, _body(mail, "html")),
        files=[_printable(part.get_filename() or part.get_content_type()) for part in _attachments(mail)],
    )


def read_text(path: Path) -> tuple[str, str]:
    """A short message: its recipient and its words."""
    try:
        said: Any = json.loads(path.read_bytes())
        words = str(said.get("message") or said.get("text") or json.dumps(said, indent=2))
        return _printable(str(said["to"])), _printable(words)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", path.read_text("utf-8", "replace")


def _summary(path: Path) -> Summary:
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if path.suffix == ".json":
        to, words = read_text(path)
        return Summary(path.name, "text", at, to[:MOST_LISTED], words[:MOST_LISTED])
    try:
        with path.open("rb") as file:
            head = BytesHeaderParser(policy=policy.default).parsebytes(file.read(MOST_SHOWN))
        to, subject, sender = (_header(head, name) for name in ("To", "Subject", "From"))
        return Summary(path.name, "mail", at, to, subject, sender)
    except Exception:  # as in mail_of
        return Summary(path.name, "mail", at, "", UNREADABLE)


def _header(mail: Any, name: str) -> str:
    """The first header of that name; empty without."""
    found = ((key, str(raw)) for key, raw in mail.raw_items() if key.lower() == name.lower())
    return _value(*next(found, (name, "")))


def _value(name: str, raw: str) -> str:
    """A header in words; raw where it is long, or the library cannot read it."""
    try:
        value = str(policy.default.header_fetch_parse(name, raw)) if len(raw) < MOST_PARSED else raw
    except Exception:  # as in mail_of
        value = raw
    return " ".join(_printable(value).split())[:MOST_LISTED]


def _printable(text: str) -> str:
    """`text` without lone surrogates, which no page can hold."""
    return text.encode("utf-8", "replace").decode()


def _body(mail: EmailMessage, kind: str) -> str | None:
    part = mail.get_body((kind,))
    if part is None:
        return None
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    try:
        return _printable(raw.decode(part.get_content_charset("utf-8"), "replace"))
    except (LookupError, UnicodeError):
        return raw.decode("utf-8", "replace")


def _with_images(mail: EmailMessage, html: str | None) -> str | None:
    """The HTML with its inline images in it (`cid:`, RFC 2392)."""
    for part in mail.walk() if html else ():
        content, id = part.get_payload(decode=True), str(part.get("Content-ID", "")).strip().strip("<>")
        if html and id and isinstance(content, bytes) and part.get_content_maintype() == "image":
            data = f"data:{part.get_content_type()};base64,{b64encode(content).decode()}"
            html = html.replace(f"cid:{id}", data)
    return html


def _attachments(mail: EmailMessage) -> Iterator[EmailMessage]:
    try:
        yield from mail.iter_attachments()  # pyright: ignore[reportReturnType]
    except (AttributeError, KeyError, TypeError):  # a multipart that has no parts
        return
