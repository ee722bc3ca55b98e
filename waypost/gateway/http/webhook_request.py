"""The request body that creates a webhook, and the check of its URL."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from waypost.ledger.records.webhooks import ENDS
from waypost.net.webhook_url import NOT_ALLOWED, admits, parse

Told = Literal["sent", "deferred", "held", "suppressed", "expired", "failed", "cancelled"]


class NewWebhook(BaseModel):
    """url: https, receives events. states: those to report; default: those that end a notification."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, Field(min_length=1, max_length=2000, json_schema_extra={"format": "https-url"})]
    states: Annotated[list[Told], Field(min_length=1, max_length=20)] = [str(state) for state in ENDS]  # pyright: ignore[reportAssignmentType]


def check_place(url: str, allow_private: bool) -> None:
    """Raise ValueError, without repeating `url`, unless a webhook may have it. The addresses of its host are
    checked when an event is posted."""
    hook = parse(url, prefix="")
    if hook.scheme == "http" and not allow_private:
        raise ValueError("a webhook's URL must begin with https://")
    try:
        admits(hook, allow_private)
    except ValueError as error:
        raise ValueError(str(error).removesuffix(NOT_ALLOWED)) from None
