"""Errors as RFC 9457 problem details with stable codes; docs/gateway.md has the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.responses import Response

from waypost.model.validation_messages import in_words

PAGE = "/v1/problems/"  # the gateway's route that explains a code


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A code, its HTTP status, what it means in general, what happened, and what the client should do."""

    code: str
    status: int
    title: str
    meaning: str
    advice: str

    @property
    def reason(self) -> str:
        """The status in words, as in the status line."""
        return HTTPStatus(self.status).phrase


KINDS = {
    kind.code: kind
    for kind in (
        ProblemKind(
            "malformed",
            400,
            "Malformed HTTP request or JSON body",
            "The request is not valid HTTP, or its body is not valid JSON, so nothing was read.",
            "Correct the request; `detail` says where it is wrong.",
        ),
        ProblemKind(
            "unauthenticated",
            401,
            "Missing or invalid API key or token",
            "The Authorization header has no API key or token that works: it is missing, mistyped, "
            "expired or revoked.",
            "Send `Authorization: Bearer <key>`; `waypost keys list` shows which keys work.",
        ),
        ProblemKind(
            "forbidden",
            403,
            "The key does not allow this",
            "The key or token is valid, but its scopes, or the sender of the mail, do not allow this.",
            "Use a key with the scope that `detail` names, or create one with `waypost keys create`.",
        ),
        ProblemKind(
            "not-found",
            404,
            "Not found for this client",
            "There is no such object, or it belongs to another client.",
            "Check the id or path, and that the key is of the client that made the object.",
        ),
        ProblemKind(
            "method-not-allowed",
            405,
            "The route does not support this method",
            "The path exists, but not for this method.",
            "Use a method that the header Allow names.",
        ),
        ProblemKind(
            "too-slow",
            408,
            "The request took too long to arrive",
            "The request did not arrive within the time limit, so nothing was done.",
            "Send it again; check the connection if that happens often.",
        ),
        ProblemKind(
            "idempotency-conflict",
            409,
            "The idempotency key was used with another body",
            "A different request was accepted under the same idempotency key, so this request was not "
            "accepted.",
            "Use a new key for new content; send the same content again only under its own key.",
        ),
        ProblemKind(
            "not-cancellable",
            409,
            "The notification can no longer be cancelled",
            "The notification was sent, has ended or is on the wire.",
            "Read its state with `GET /v1/notifications/{id}`; there is nothing more to cancel.",
        ),
        ProblemKind(
            "limit-reached",
            409,
            "The client has reached a limit",
            "The client has as many of these objects as it may have.",
            "Delete an object that is no longer needed.",
        ),
        ProblemKind(
            "too-large",
            413,
            "The body or its number of items is over the limit",
            "The body has more bytes, or a batch more items, than the limit. Nothing was accepted.",
            "Send less in a request: split the batch, or link to files instead of attaching them.",
        ),
        ProblemKind(
            "unsupported-media-type",
            415,
            "The body is not application/json",
            "The body has another Content-Type than application/json.",
            "Send JSON with `Content-Type: application/json`.",
        ),
        ProblemKind(
            "not-expected",
            417,
            "The Expect header is not supported",
            "The header Expect asks for something other than 100-continue.",
            "Leave the header out.",
        ),
        ProblemKind(
            "invalid",
            422,
            "A field is missing or invalid",
            "The JSON is valid, but a field is missing, unknown or has a wrong value. Nothing was accepted.",
            "Correct the fields that `errors` names; a repeat without a change fails again.",
        ),
        ProblemKind(
            "too-many-requests",
            429,
            "The key's rate limit is exceeded",
            "The key sent more requests than its rate allows. The request had no effect.",
            "Wait as many seconds as Retry-After says, then send it again.",
        ),
        ProblemKind(
            "head-too-long",
            431,
            "The URL and the headers are over the limit",
            "The URL and the headers together are longer than the limit.",
            "Shorten them; put data into the body.",
        ),
        ProblemKind(
            "internal",
            500,
            "Internal error",
            "An error in Waypost or in a type's code stopped the request.",
            "Send it again with the same idempotency key; if it fails again, see the gateway's log.",
        ),
        ProblemKind(
            "unavailable",
            503,
            "The ledger or Prefect is unavailable",
            "The ledger or Prefect does not respond. The request had no effect, unless `detail` says "
            "that it may have been done.",
            "Send it again with the same idempotency key after as many seconds as Retry-After says.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One field that is wrong. path: where in the body, such as `data.lines.0.quantity`."""

    path: str
    reason: str


class Problem(Exception):
    """A request is refused or fails. Says what to do, and reveals nothing internal."""

    def __init__(
        self,
        code: str,
        detail: str,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = KINDS[code]
        self.detail = detail
        self.faults = list(faults)
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The members of RFC 9457, section 3; `code` and `errors` are extensions."""
        found: dict[str, Any] = {
            "type": PAGE + self.kind.code,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "code": self.kind.code,
        }
        if self.faults:
            found["errors"] = [{"path": one.path, "reason": one.reason} for one in self.faults]
        return found

    def response(self) -> Response:
        return Response(
            orjson.dumps(self.body()),
            self.kind.status,
            {"cache-control": "no-store", **self.headers},
            "application/problem+json",
        )


MOST_FAULTS = 20


def _path(where: tuple[int | str, ...], skipped: int) -> str:
    """Where the caller wrote what is wrong: a query has no numbers, though it may repeat a parameter."""
    written = [part for part in where[skipped:] if where[0] != "query" or isinstance(part, str)]
    return ".".join(map(str, written)) or "body"


def unfit(error: ValidationError) -> Problem:
    """The problem for pydantic's errors in a body. It contains names of fields, but no values."""
    return invalid(error.errors(include_url=False, include_input=False))


def invalid(errors: Sequence[ErrorDetails], skipped: int = 0) -> Problem:
    """The problem for pydantic's errors, without the values. skipped: leading parts of each path that the
    caller did not write."""
    faults = [Fault(_path(error["loc"], skipped), in_words(error)) for error in errors[:MOST_FAULTS]]
    code = "malformed" if errors[0]["type"] == "json_invalid" else "invalid"
    first = faults[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return Problem(code, f"{first.path}: {first.reason}{more}", faults)
