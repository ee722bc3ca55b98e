"""What a webhook is made of, and whether it may be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from waypost.ledger.records.webhooks import ENDS
from waypost.net.webhook_url import NOT_ALLOWED, admits, parse

Told = Literal["sent", "deferred", "held", "suppressed", "expired", "failed", "cancelled"]


class NewWebhook(BaseModel):
    """url: https, where states are told. states: which; left out, those that end a notification."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, Field(min_length=1, max_length=2000, json_schema_extra={"format": "https-url"})]
    states: Annotated[list[Told], Field(min_length=1, max_length=20)] = [str(state) for state in ENDS]  # pyright: ignore[reportAssignmentType]


def check_place(url: str, allow_private: bool) -> None:
    """Raise ValueError, never repeating it, unless `url` is one a webhook may have. Where its name leads is
    looked at when something is told."""
    hook = parse(url, prefix="")
    if hook.scheme == "http" and not allow_private:
        raise ValueError("a webhook's URL begins with https://")
    try:
        admits(hook, allow_private)
    except ValueError as error:
        raise ValueError(str(error).removesuffix(NOT_ALLOWED)) from None
