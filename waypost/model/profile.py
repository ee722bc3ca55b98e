"""The profile of a recipient: what is kept of it, beside what a request may say."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from waypost.model.attributes import CheckedAttributes
from waypost.model.request import FIELDS, Recipient

PROFILE = (*FIELDS, "attributes")  # the fields that are kept


class Profile(Recipient):
    """A recipient as its client describes it."""

    attributes: Annotated[
        CheckedAttributes | None,
        Field(
            description="Values of your own, which templates read as recipient.attributes.NAME.",
            examples=[{"plan": "gold"}],
        ),
    ] = None
