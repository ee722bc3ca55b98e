"""Attachments and inline images of a mail."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from waypost.mail.headers import checked

_TOKEN = r"[A-Za-z0-9!#$&^_.+-]{1,100}"  # noqa: S105 - a subset of RFC 2045, section 5.1
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:; ?{_TOKEN}={_TOKEN}){{0,5}}")
_CID = re.compile(r"[A-Za-z0-9!#$&'*+/=?^_`{|}~.-]{1,100}@[A-Za-z0-9.-]{1,100}")
_BYTES = "application/octet-stream"
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_NOT_IN_BASE64 = ("message/", "multipart/")  # RFC 2046, sections 5.1 and 5.2.1
_PIECE = 50  # characters of a file name on one line
# Without quotes, backslashes and brackets, which readers unquote once or twice.
_PLAIN_NAME = re.compile(rf"[A-Za-z0-9 !#$&()+,.@^_{{}}~=-]{{1,{_PIECE}}}")


class AttachmentError(ValueError):
    """An attachment that cannot be sent. Says why, never what it contains."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file, or an image the HTML part shows.

    name: as the reader sees it, in any script. content_type: guessed from the name if empty; with its
    parameters, for example `text/calendar; method=REQUEST`. A mail or a multipart is sent as
    application/octet-stream, which every mail program saves byte for byte.
    cid: the id of an inline image, unique in the mail and of the form of an address: `logo@shop.example` is
    shown by `src="cid:logo@shop.example"`.
    """

    name: str
    content: bytes = field(repr=False)
    content_type: str = ""
    cid: str = ""

    def __post_init__(self) -> None:
        """Raises TypeError if the content is not bytes: the caller chooses the encoding of a text."""
        if not isinstance(self.content, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("the content of an attachment must be bytes")


def head(attachment: Attachment) -> bytes:
    """The MIME header of `attachment`, whose content follows in base64. Raises AttachmentError, or
    HeaderError for a name that contains a control character."""
    kind = attachment.content_type or _guessed(attachment.name)
    if kind.lower().startswith(_NOT_IN_BASE64):
        kind = _BYTES
    if not _CONTENT_TYPE.fullmatch(kind):
        raise AttachmentError("the content type of an attachment must have the form type/subtype")
    if attachment.cid and not _CID.fullmatch(attachment.cid):
        raise AttachmentError("the cid of an inline image must have the form logo@shop.example")
    disposition = "inline" if attachment.cid else "attachment"
    lines = [
        "Content-Type: " + ";\r\n ".join(kind.replace("; ", ";").split(";")),
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {disposition};\r\n {_filename(attachment.name)}",
    ]
    if attachment.cid:
        lines.append(f"Content-ID: <{attachment.cid}>")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _guessed(name: str) -> str:
    """The content type for the extension of `name`. A compressed file has the type of its compression,
    because a reader decompresses it first."""
    kind, compression = mimetypes.guess_type(name)
    return _COMPRESSED.get(compression, _BYTES) if compression else kind or _BYTES


def _filename(name: str) -> str:
    """The filename parameter: quoted if it is short and plain, else encoded in pieces (RFC 2231)."""
    if not checked("the name of an attachment", name).strip():
        raise AttachmentError("an attachment needs a name")
    if _PLAIN_NAME.fullmatch(name) and name == name.strip():
        return f'filename="{name}"'
    pieces = _pieces(name)
    if len(pieces) == 1:
        return f"filename*=utf-8''{pieces[0]}"
    first, *rest = pieces
    return ";\r\n ".join(
        [f"filename*0*=utf-8''{first}", *(f"filename*{n}*={piece}" for n, piece in enumerate(rest, 1))]
    )


def _pieces(name: str) -> list[str]:
    """`name` percent-encoded, cut between characters."""
    pieces = [""]
    for letter in name:
        coded = quote(letter, safe="")
        if len(pieces[-1]) + len(coded) > _PIECE:
            pieces.append("")
        pieces[-1] += coded
    return pieces


def total(attachments: Sequence[Attachment]) -> int:
    """The size of all attachments in bytes, before encoding."""
    return sum(len(attachment.content) for attachment in attachments)
