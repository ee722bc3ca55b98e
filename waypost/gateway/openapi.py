"""The OpenAPI document: complete enough to generate a client, or attacks for tests, from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from waypost.api import schemas as shapes
from waypost.gateway.http.preferences_request import Chosen
from waypost.gateway.http.preferences_request import schema as schema_of_choices
from waypost.gateway.http.recipient_request import changes, whole, without_id
from waypost.gateway.http.suppression_request import NewSuppression
from waypost.gateway.http.verification_request import CodeCheck, LinkCheck
from waypost.gateway.http.webhook_request import NewWebhook
from waypost.gateway.intake import Intake
from waypost.model.category import Category, CategoryTerms
from waypost.model.profile import Profile
from waypost.model.request import Recipient

_REF = "#/components/schemas/{model}"
_TITLES = {
    400: "Malformed HTTP request or JSON body.",
    401: "Missing or invalid API key or token.",
    403: "The key does not allow this.",
    404: "Not found for this client.",
    409: "Conflict with an earlier request or the current state.",
    413: "Too large.",
    415: "The body is not application/json.",
    422: "A field is missing or invalid.",
    429: "The key's rate limit is exceeded.",
    503: "The ledger is unavailable.",
}


def operation_id(route: APIRoute) -> str:
    """The operation's name in a generated client, such as notifications_send."""
    return f"{route.tags[0]}{route.name}"


def _route(
    answer: str | None,
    *problems: int,
    status: int = 200,
    body: str | None = None,
    also: int | None = None,
    parameters: list[dict[str, Any]] | None = None,
    open: bool = False,
) -> dict[str, Any]:
    """A route's documentation, as FastAPI's decorators take it. open: the route needs no key. also: another
    status with the same response."""
    content = {"application/json": {"schema": {"$ref": _REF.format(model=answer)}}} if answer else None
    good: dict[str, Any] = {"description": "Done."} | ({"content": content} if content else {})
    needed = problems if open else (401, 429, 503, *problems)
    extra: dict[str, Any] = {"security": [] if open else [{"key": []}]}
    if body:
        schema = {"$ref": _REF.format(model=body)}
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if parameters:
        extra["parameters"] = parameters
    responses: dict[int, Any] = {status: good, **{one: _problem(one) for one in sorted(needed)}}
    if also is not None:
        responses[also] = good
    return {"responses": responses, "openapi_extra": extra}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model="Problem")}
    return {"description": _TITLES[status], "content": {"application/problem+json": {"schema": schema}}}


_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "For 24 hours, the same key and body return the first response and send nothing.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}

# An invalid item gets an error of its own, so the schema of an item allows anything.
_ITEM = {"anyOf": [{"$ref": _REF.format(model="Send")}, {}]}

_BODY = (400, 413, 415, 422)
SEND = _route("Accepted", *_BODY, 403, 409, status=202, body="Send", parameters=[_KEY])
SEND_MANY = _route("Results", *_BODY, 403, body="SendMany")
LIST = _route("Page", 403, 422)
GET = _route("Notification", 403, 404)
CANCEL = _route("Cancelled", 403, 404, 409)
TYPES = _route("Types")
PUT_RECIPIENT = _route("KnownRecipient", *_BODY, 403, 404, body="RecipientFields", also=201)
GET_RECIPIENT = _route("KnownRecipient", 403, 404, 422)
PATCH_RECIPIENT = _route("KnownRecipient", *_BODY, 403, 404, body="RecipientChanges", also=201)
DELETE_RECIPIENT = _route(None, 403, 404, 422, status=204)
EXPORT_RECIPIENT = _route("RecipientExport", 403, 404, 422)
GET_PREFERENCES = _route("Preferences", 403, 404, 422)
PATCH_PREFERENCES = _route("Preferences", *_BODY, 403, 404, body="Choices")
GET_PREFERENCES_OF_ALL = _route("Preferences", 403)
PATCH_PREFERENCES_OF_ALL = _route("Preferences", *_BODY, 403, body="Choices")
LIST_SUPPRESSIONS = _route("Suppressions", 403, 422)
PUT_SUPPRESSION = _route("Suppression", *_BODY, 403, body="NewSuppression")
DELETE_SUPPRESSION = _route(None, 403, 404, 422, status=204)
CHECK = _route("CheckResult", *_BODY, 403, body="Check")
CREATE_WEBHOOK = _route("WebhookSecret", *_BODY, 403, 409, status=201, body="NewWebhook")
LIST_WEBHOOKS = _route("Webhooks", 403)
GET_WEBHOOK = _route("Webhook", 403, 404)
DELETE_WEBHOOK = _route(None, 403, 404, status=204)
ROTATE_WEBHOOK = _route("WebhookSecret", 403, 404)
HEALTH = _route("Alive", open=True)
READY = _route("Ready", open=True, also=503)
METRICS = _route(None, 403)
METRICS["responses"][200]["content"] = {"text/plain": {"schema": {"type": "string"}}}
PROBLEM = _route("ProblemKind", 404, 422, open=True)


def document(app: FastAPI, intake: Intake, categories: Mapping[Category, CategoryTerms]) -> dict[str, Any]:
    """The whole document, built on the first call."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        components = made.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **_schemas(intake, categories)}
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "An API key: wp_<id>_<secret>."}
        }
        app.openapi_schema = made
    return app.openapi_schema


_BODIES = (CodeCheck, LinkCheck, NewWebhook, Recipient, Profile, Chosen, NewSuppression)


def _schemas(intake: Intake, categories: Mapping[Category, CategoryTerms]) -> dict[str, Any]:
    asked: list[tuple[type[BaseModel], Any]] = [(one, "validation") for one in intake.shapes.values()]
    told: list[tuple[type[BaseModel], Any]] = [(one, "serialization") for one in shapes.ALL]
    refs, made = models_json_schema(
        [*asked, *told, *((one, "validation") for one in _BODIES)],
        ref_template=_REF,
    )
    schemas: dict[str, Any] = made["$defs"]
    variants = {name: refs[shape, "validation"] for name, shape in intake.shapes.items()}
    schemas["Send"] = {
        "type": "object",
        "oneOf": list(variants.values()),
        "discriminator": {
            "propertyName": "type",
            "mapping": {name: one["$ref"] for name, one in variants.items()},
        },
    }
    schemas["SendMany"] = {
        "type": "object",
        "required": ["notifications"],
        "additionalProperties": False,
        "properties": {
            "notifications": {"type": "array", "maxItems": 1000, "items": _ITEM},
        },
    }
    schemas["Check"] = {"oneOf": [refs[one, "validation"] for one in (CodeCheck, LinkCheck)]}
    recipient = refs[Recipient, "validation"]["$ref"].rpartition("/")[2]
    profile = schemas.pop(refs[Profile, "validation"]["$ref"].rpartition("/")[2])
    schemas["RecipientFields"] = without_id(profile)
    schemas["RecipientChanges"] = changes(profile)
    schemas[recipient] = whole(schemas[recipient])
    kinds = {kind for one in intake.types.values() for kind in one.type.kinds}
    schemas["Choices"] = schema_of_choices(schemas["Chosen"], categories, kinds)
    for name, one in variants.items():
        route = list(intake.types[name].type.kinds)
        fields = schemas[one["$ref"].rpartition("/")[2]]["properties"]
        fields["channels"]["anyOf"][0]["items"] = {"enum": route}
    return schemas
