"""The paths and queries of recipients, and JSON Schemas that are more exact than those of their models."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote_to_bytes
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from waypost.gateway.http.listing import MOST_LISTED, LeftOut
from waypost.model.facts import TEXT_PATTERN
from waypost.model.plain_numbers import PlainNumbers

Schema = dict[str, Any]

# An id in a path. U+FFFD stands where the path's percent encoding is not UTF-8.
PATH_ID: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "pattern": TEXT_PATTERN,
    "not": {"pattern": "^([Mm][Aa][Ii][Ll][Tt][Oo]|[Tt][Ee][Ll]):|\ufffd"},
}
# A recipient to read or delete: also one without an id, by the URL of its address.
PATH_WHO: Schema = {
    "anyOf": [PATH_ID, {"type": "string", "format": "address-url"}],  # mailto:ada@shop.example, tel:+4930123
}

_FORMATS = {"locale": "locale", "timezone": "iana-time-zone"}  # de or pt-BR; Europe/Paris


# What follows an id in a path, and the methods of that path.
PARTS = {"preferences": "GET, HEAD, PATCH", "export": "GET, HEAD"}


class ExportPage(BaseModel):
    """limit: notifications of a page. after: the `next` of the previous page."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1, le=MOST_LISTED), PlainNumbers] = MOST_LISTED
    after: Annotated[UUID | None, LeftOut()] = None


def part_of(request: Request) -> str | None:
    """The one of PARTS that the path of a recipient ends in, if it does. In an id such as `a/preferences`,
    the slash has to be written as %2F."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    last = unquote_to_bytes(raw.rpartition(b"/")[2]).decode(errors="replace")
    return last if last in PARTS else None


def whole(recipient: Schema) -> Schema:
    """The schema of a notification's recipient: it needs an id, an email or a phone."""
    fields = _fields(recipient)
    fields["id"]["anyOf"][0]["not"] = PATH_ID["not"]
    return {"description": recipient["description"], **_with_one_of(fields, "id", "email", "phone")}


def changes(profile: Schema) -> Schema:
    """The schema of changed fields of a recipient whose id is in the path: at least one; null deletes."""
    fields = _of_profile(profile)
    return {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": fields}


def without_id(profile: Schema) -> Schema:
    """The schema of a recipient whose id is in the path: it needs at least one other field."""
    fields = _of_profile(profile)
    attributes = fields["attributes"]["anyOf"][0]
    value: list[Schema] = attributes["additionalProperties"]["anyOf"]
    not_null = {"anyOf": [one for one in value if one["type"] != "null"]}
    fields["attributes"] = {"anyOf": [{**attributes, "additionalProperties": not_null}, {"type": "null"}]}
    return _with_one_of(fields, *fields)


def _of_profile(profile: Schema) -> dict[str, Schema]:
    """The fields beside the id. The pattern of phone numbers lets too much through, and the format covers
    it."""
    fields = _fields(profile)
    del fields["id"], fields["phone"]["anyOf"][0]["pattern"]
    fields["phone"]["anyOf"][0]["format"] = "phone-number"  # +4930123456
    return fields


def _fields(recipient: Schema) -> dict[str, Schema]:
    fields: dict[str, Schema] = {
        name: {**one, "anyOf": [dict(either) for either in one["anyOf"]]}
        for name, one in recipient["properties"].items()
    }
    for name, format in _FORMATS.items():
        fields[name]["anyOf"][0]["format"] = format
    # The pattern lets Prefect refuse most invalid addresses; the format covers all of them.
    del fields["email"]["anyOf"][0]["pattern"]
    return fields


def _with_one_of(fields: dict[str, Schema], *names: str) -> Schema:
    """An object of `fields` in which at least one of `names` is present, and neither null nor empty."""
    return {
        "anyOf": [
            {
                "type": "object",
                "additionalProperties": False,
                "required": [name],
                "properties": {**fields, name: _with_a_value(fields[name]["anyOf"][0])},
            }
            for name in names
        ]
    }


def _with_a_value(field: Schema) -> Schema:
    least = {"object": "minProperties", "array": "minItems"}.get(field.get("type", ""))
    return {**field, least: 1} if least else field
