"""The fields of a form, in a body of either encoding. Pure but for reading the body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import HTTP
from typing import cast
from urllib.parse import parse_qsl

from starlette.requests import Request

from waypost.gateway.http.body import read
from waypost.model.cadence import Every
from waypost.model.category import Category
from waypost.recipients.choices import Answer, Offer

MOST_BYTES = 8 * 1024  # the largest form of the pages is below 2 kB
MOST_FIELDS = 100
URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
ONE_CLICK = "List-Unsubscribe", "One-Click"  # RFC 8058, section 3.1
CONFIRM = "confirm", "yes"  # the button of the confirmation page
ON_PAGE = "on-page"  # a field of the page's own form
CADENCE, CHANNELS = "cadence-", "channels-"  # with a category behind them

Fields = Mapping[str, Sequence[str]]


class BadForm(Exception):
    """A body is not a form of these pages. status: of the response."""

    def __init__(self, status: int = 400) -> None:
        super().__init__(f"not a form of these pages: {status}")
        self.status = status


async def fields_of(request: Request) -> Fields:
    """The fields of a request's form, each with its values. Raises BadForm, Problem and ClientDisconnect."""
    kind = request.headers.get("content-type", URLENCODED)
    body = await read(request, MOST_BYTES)
    return parsed(kind, body)


def parsed(kind: str, body: bytes) -> Fields:
    """The fields of a body. kind: its Content-Type. Raises BadForm."""
    media_type = kind.partition(";")[0].strip().lower()
    if media_type not in (URLENCODED, MULTIPART):
        raise BadForm(415)
    try:
        pairs = _of_parts(kind, body) if media_type == MULTIPART else _of_line(body)
    except (ValueError, LookupError, RecursionError):
        raise BadForm from None
    if len(pairs) > MOST_FIELDS:
        raise BadForm
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _of_line(body: bytes) -> list[tuple[str, str]]:
    """Raises ValueError."""
    return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS)


def _of_parts(kind: str, body: bytes) -> list[tuple[str, str]]:
    """RFC 7578: each part has its name in Content-Disposition. Raises ValueError."""
    whole = message_from_bytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body, EmailMessage, policy=HTTP
    )
    if not whole.is_multipart():
        raise ValueError("no parts")
    return [_of_part(cast(EmailMessage, part)) for part in whole.iter_parts()]


def _of_part(part: EmailMessage) -> tuple[str, str]:
    name = part.get_param("name", header="content-disposition")
    value = part.get_payload(decode=True)
    if not isinstance(name, str) or not isinstance(value, bytes):
        raise ValueError("a part without a name or a value")
    return name, value.decode().removesuffix("\r\n")


def is_one_click(fields: Fields) -> bool:
    """Whether a form asks to unsubscribe. Other fields are no reason to send on."""
    name, value = ONE_CLICK
    return list(fields.get(name, ())) == [value]


def is_confirmation(fields: Fields) -> bool:
    """Whether a form is that of the confirmation page, and nothing else: a consent is not guessed."""
    name, value = CONFIRM
    return fields == {name: [value]}


def answers(fields: Fields, shown: Sequence[Offer]) -> dict[Category, Answer]:
    """What the form of the preference page says of each category. Raises BadForm for a field or a value that
    the page does not have."""
    known = {f"{prefix}{one.category}" for one in shown for prefix in (CADENCE, CHANNELS)}
    if not fields.keys() <= known:
        raise BadForm
    return {one.category: _answer(fields, one) for one in shown if f"{CADENCE}{one.category}" in fields}


def _answer(fields: Fields, offer: Offer) -> Answer:
    try:
        [every] = fields[f"{CADENCE}{offer.category}"]
        chosen = fields.get(f"{CHANNELS}{offer.category}", ())
        if not set(chosen) <= set(offer.kinds):
            raise BadForm
        kinds = tuple(kind for kind in offer.kinds if kind in chosen) if len(offer.kinds) > 1 else offer.kinds
        return Answer(Every(every), kinds)
    except ValueError:
        raise BadForm from None
