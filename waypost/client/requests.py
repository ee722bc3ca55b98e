"""Every request of the client, and how its response is parsed. Pure: this module sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_json

from waypost.api import schemas
from waypost.client.send import Send

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request. repeatable: making it twice has the same effect as making it once."""

    method: str
    path: str
    read: Callable[[bytes], T]
    content: bytes | None = field(default=None, repr=False)
    query: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    repeatable: bool = True


def send(asked: Send) -> Call[schemas.Accepted]:
    return Call("POST", "/v1/notifications", _as(schemas.Accepted), asked.as_json())


def send_batch(items: Sequence[bytes]) -> Call[list[schemas.Result]]:
    body = b'{"notifications":[' + b",".join(items) + b"]}"
    read = _as(schemas.Results)
    return Call("POST", "/v1/notifications/batch", lambda answer: read(answer).results, body)


def get(id: UUID | str) -> Call[schemas.Notification]:
    return Call("GET", f"/v1/notifications/{_part(id)}", _as(schemas.Notification))


def page(query: Mapping[str, Any], after: UUID | None) -> Call[schemas.Page]:
    asked = {name: _written(value) for name, value in query.items() if value is not None}
    if after is not None:
        asked["after"] = str(after)
    return Call("GET", "/v1/notifications", _as(schemas.Page), query=asked)


def cancel(id: UUID | str) -> Call[schemas.Cancelled]:
    return Call("POST", f"/v1/notifications/{_part(id)}/cancel", _as(schemas.Cancelled))


def types() -> Call[Sequence[schemas.TypeInfo]]:
    read = _as(schemas.Types)
    return Call("GET", "/v1/types", lambda answer: read(answer).types)


def put_recipient(id: str, fields: Mapping[str, object]) -> Call[schemas.KnownRecipient]:
    given = {name: value for name, value in fields.items() if value is not None}
    return Call("PUT", f"/v1/recipients/{_part(id)}", _as(schemas.KnownRecipient), to_json(given))


def get_recipient(id: str) -> Call[schemas.KnownRecipient]:
    return Call("GET", f"/v1/recipients/{_part(id)}", _as(schemas.KnownRecipient))


def patch_recipient(id: str, fields: Mapping[str, object]) -> Call[schemas.KnownRecipient]:
    return Call("PATCH", f"/v1/recipients/{_part(id)}", _as(schemas.KnownRecipient), to_json(dict(fields)))


def delete_recipient(id: str) -> Call[bool]:
    return Call("DELETE", f"/v1/recipients/{_part(id)}", _done)


def export_recipient(id: str, after: UUID | None) -> Call[schemas.RecipientExport]:
    path = f"/v1/recipients/{_part(id)}/export"
    query = {} if after is None else {"after": str(after)}
    return Call("GET", path, _as(schemas.RecipientExport), query=query)


def preferences(id: str | None) -> Call[dict[str, schemas.Preference]]:
    """id: None for what applies to all recipients."""
    return Call("GET", _preferences(id), _chosen)


def change_preferences(
    id: str | None, choices: Mapping[str, Mapping[str, Any] | None]
) -> Call[dict[str, schemas.Preference]]:
    return Call("PATCH", _preferences(id), _chosen, to_json(dict(choices)))


def _preferences(id: str | None) -> str:
    return "/v1/preferences" if id is None else f"/v1/recipients/{_part(id)}/preferences"


def _chosen(answer: bytes) -> dict[str, schemas.Preference]:
    return schemas.Preferences.model_validate_json(answer).root


def suppressions(query: Mapping[str, Any], after: str | None) -> Call[schemas.Suppressions]:
    asked = {name: value for name, value in query.items() if value is not None}
    if after is not None:
        asked["after"] = after
    return Call("GET", "/v1/suppressions", _as(schemas.Suppressions), query=asked)


def suppress(address: str, fields: Mapping[str, object]) -> Call[schemas.Suppression]:
    return Call("PUT", f"/v1/suppressions/{_part(address)}", _as(schemas.Suppression), to_json(dict(fields)))


def lift_suppressions(address: str, query: Mapping[str, Any]) -> Call[bool]:
    asked = {name: value for name, value in query.items() if value is not None}
    return Call("DELETE", f"/v1/suppressions/{_part(address)}", _done, query=asked)


def check(type: str | None, **asked: str) -> Call[schemas.CheckResult]:
    """Not repeatable: a right code is used up, and a wrong code is counted. type: None for any."""
    asked |= {} if type is None else {"type": type}
    return Call("POST", "/v1/verifications/check", _as(schemas.CheckResult), to_json(asked), repeatable=False)


def create_webhook(url: str, states: Sequence[str] | None) -> Call[schemas.WebhookSecret]:
    asked = {"url": url} if states is None else {"url": url, "states": list(states)}
    return Call("POST", "/v1/webhooks", _as(schemas.WebhookSecret), to_json(asked), repeatable=False)


def webhooks() -> Call[Sequence[schemas.Webhook]]:
    read = _as(schemas.Webhooks)
    return Call("GET", "/v1/webhooks", lambda answer: read(answer).webhooks)


def rotate_webhook(id: UUID | str) -> Call[schemas.WebhookSecret]:
    path = f"/v1/webhooks/{_part(id)}/rotate"
    return Call("POST", path, _as(schemas.WebhookSecret), repeatable=False)


def delete_webhook(id: UUID | str) -> Call[bool]:
    return Call("DELETE", f"/v1/webhooks/{_part(id)}", _done)


def _as(shape: type[M]) -> Callable[[bytes], M]:
    return shape.model_validate_json


def _done(_answer: bytes) -> bool:
    return True


def _part(id: UUID | str) -> str:
    """An id as one segment of a path: slashes and dots are escaped, so it cannot lead elsewhere."""
    return quote(str(id), safe="").replace(".", "%2E")


def _written(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
