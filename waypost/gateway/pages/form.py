"""The fields of a form, in a body of either encoding. Pure but for reading the body.

The parsers of the `email` package take quadratic time for some headers: seconds of the event loop for a
Content-Type of a few kilobytes. The expressions here take time that is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
    except ValueError:
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


# RFC 2046, section 5.1.1: a boundary has 70 characters at most.
_BOUNDARY = re.compile(r';[ \t]*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:(.*)$", re.IGNORECASE | re.MULTILINE)
_NAME = re.compile(rb';[ \t]*name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)


def _of_parts(kind: str, body: bytes) -> list[tuple[str, str]]:
    """RFC 7578. Raises ValueError."""
    boundary = _BOUNDARY.search(kind)
    if boundary is None:
        raise ValueError("no boundary")
    between = b"\n--" + (boundary[1] or boundary[2]).encode()
    _, *parts = (b"\n" + body.replace(b"\r\n", b"\n")).split(between, MOST_FIELDS + 2)
    if not parts or not parts[-1].startswith(b"--"):
        raise ValueError("no parts, or no end of them")
    return [_of_part(part) for part in parts[:-1]]


def _of_part(part: bytes) -> tuple[str, str]:
    """The name, which stands in Content-Disposition, and the value."""
    head, blank, value = part.partition(b"\n\n")
    disposition = _DISPOSITION.search(head)
    name = disposition and _NAME.search(disposition[1])
    if not blank or not name:
        raise ValueError("a part without a name or a value")
    return (name[1] or name[2] or b"").decode(), value.decode()


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
