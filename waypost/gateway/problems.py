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
    """A code, its HTTP status, and what it means in general."""

    code: str
    status: int
    title: str

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
            "The request is not HTTP, or its body not JSON of the form this route takes",
        ),
        ProblemKind("unauthenticated", 401, "No key, or none that works"),
        ProblemKind("forbidden", 403, "The key may not do that"),
        ProblemKind("not-found", 404, "There is no such thing for this client"),
        ProblemKind("method-not-allowed", 405, "The route has no such method"),
        ProblemKind("too-slow", 408, "The request did not come to its end in time"),
        ProblemKind("idempotency-conflict", 409, "The idempotency key was used with another body"),
        ProblemKind("not-cancellable", 409, "It cannot be withdrawn any more"),
        ProblemKind("limit-reached", 409, "The client has as many of these as it may"),
        ProblemKind("too-large", 413, "The body, or the number of items in it, is over the limit"),
        ProblemKind("unsupported-media-type", 415, "The body is not application/json"),
        ProblemKind("not-expected", 417, "What the header Expect asks for is not offered"),
        ProblemKind("invalid", 422, "A field is missing or wrong"),
        ProblemKind("too-many-requests", 429, "The key has made as many requests as it may for now"),
        ProblemKind("head-too-long", 431, "The address and the headers are over the limit"),
        ProblemKind("internal", 500, "Internal error"),
        ProblemKind("unavailable", 503, "The ledger or Prefect cannot be reached"),
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


def unfit(error: ValidationError) -> Problem:
    """The problem for pydantic's errors in a body. It contains names of fields, but no values."""
    return invalid(error.errors(include_url=False, include_input=False))


def invalid(errors: Sequence[ErrorDetails], skipped: int = 0) -> Problem:
    """The problem for pydantic's errors, without the values. skipped: leading parts of each path that the
    caller did not write."""
    faults = [
        Fault(".".join(map(str, error["loc"][skipped:])) or "body", in_words(error))
        for error in errors[:MOST_FAULTS]
    ]
    code = "malformed" if errors[0]["type"] == "json_invalid" else "invalid"
    first = faults[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return Problem(code, f"{first.path}: {first.reason}{more}", faults)
