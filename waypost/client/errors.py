"""The errors that the client raises."""

from __future__ import annotations

from collections.abc import Sequence

from waypost.api.schemas import Fault


class GatewayError(Exception):
    """code: stable, listed in docs/gateway.md; "unreachable" without a response, "unexpected" if the response
    is not the gateway's. status: the HTTP status, None without a response. faults: the fields that are
    wrong."""

    def __init__(
        self, code: str, detail: str, status: int | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.faults = tuple(faults)


class Refused(GatewayError):
    """A retry would be refused again: change the request or the key."""


class Unavailable(GatewayError):
    """The request was tried until the deadline. It may have been accepted; if you send it again with the same
    idempotency key, it is not accepted twice."""
