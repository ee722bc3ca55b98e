"""What the gateway does not do, and why."""

from __future__ import annotations

from collections.abc import Sequence

from waypost.api.schemas import Fault


class GatewayError(Exception):
    """code: stable, as docs/gateway.md lists them; "unreachable" where no answer came, "unexpected" where
    the answer is none of the gateway's. status: of HTTP, None without an answer. faults: the fields that
    are wrong."""

    def __init__(
        self, code: str, detail: str, status: int | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.faults = tuple(faults)


class Refused(GatewayError):
    """Asked again, it would be refused again: the request, or the key, has to change."""


class Unavailable(GatewayError):
    """It was tried until the deadline. What was sent may have been accepted: sent again with the same
    idempotency key, it is not accepted twice."""
