"""The body of a mail: its parts and multiparts (RFC 2045, 2046, 2387).

Each part is bytes that begin with its own MIME header, so that parts nest.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from uuid import UUID

from waypost.mail.attachment import Attachment, AttachmentError, head
from waypost.mail.headers import MAX_LINE

_LINE = 76


def body(id: UUID, plain: str, html: str, attachments: Sequence[Attachment]) -> bytes:
    """Text and HTML as alternatives, with inline images and attachments. multipart/mixed contains related,
    which contains alternative; mixed and related only if they are needed. Raises AttachmentError."""
    holder = _multipart("alternative", f"=_{id.hex}", [words("text/plain", plain), words("text/html", html)])
    if not attachments:
        return holder
    inline = [attachment for attachment in attachments if attachment.cid]
    if len({attachment.cid for attachment in inline}) < len(inline):
        raise AttachmentError("two inline images have the same cid")
    if inline:
        parts = [holder, *map(_file, inline)]
        holder = _multipart('related; type="multipart/alternative"', f"=_r{id.hex}", parts)
    attached = [attachment for attachment in attachments if not attachment.cid]
    return _multipart("mixed", f"=_m{id.hex}", [holder, *map(_file, attached)]) if attached else holder


def _multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    """No boundary is a prefix of another, and no boundary can occur in a part: see `words`."""
    start = f"--{boundary}\r\n".encode()
    return b"".join(
        (
            f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode(),
            start,
            (b"\r\n" + start).join(parts),
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )


def words(content_type: str, text: str) -> bytes:
    """A text part, in 7bit, quoted-printable or base64 (RFC 2045).

    Quoted-printable is fast (C) and readable in a raw mail; base64 is for texts of mostly non-Latin letters.
    7bit is for ASCII without lines over 998 (RFC 5322, section 2.1.1) and without anything like a boundary.
    """
    raw = text.encode()
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    bare = b"\r" in raw
    if raw.isascii() and not bare and b"\0" not in raw and b"--=_" not in raw and _short(raw):
        encoding, wire = "7bit", raw.rstrip(b"\n").replace(b"\n", b"\r\n")
    elif len(raw) < len(text) * 1.2 and not bare:
        encoding = "quoted-printable"
        wire = binascii.b2a_qp(raw, quotetabs=False).rstrip(b"\n").replace(b"\n", b"\r\n")
    else:
        encoding, wire = "base64", b"\r\n".join(_base64(raw))
    return (
        f"Content-Type: {content_type}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    ).encode() + wire


def _short(raw: bytes) -> bool:
    return max(map(len, raw.split(b"\n"))) <= MAX_LINE


def _file(attachment: Attachment) -> bytes:
    return head(attachment) + b"\r\n".join(_base64(attachment.content))


def _base64(raw: bytes) -> Iterator[bytes]:
    coded = binascii.b2a_base64(raw, newline=False)
    return (coded[at : at + _LINE] for at in range(0, len(coded), _LINE))
