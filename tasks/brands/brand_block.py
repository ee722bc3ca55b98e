"""A brand as a block in Prefect, where a person edits it in a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

NotShown = SkipJsonSchema[None]  # else the form asks for each field whether it is to be null


class WaypostBrand(Block):
    """A brand, on the terms that WAYPOST_BRANDS has too; the block's name is the brand's. What a person types
    is checked when a process takes it up, so that the fault of a term is told by the same words as there."""

    _block_type_name = "Waypost brand"
    _block_type_slug = "waypost-brand"
    _description = (
        "Whose mail a notification is; workers load it in half a minute. Its name is the one that requests, "
        "keys and types use: small letters, digits and hyphens, as no setting has it. `waypost doctor` "
        "checks it."
    )
    model_config = ConfigDict(hide_input_in_errors=True)

    sender: str = Field(title="Sender", description="From of its mails: `Acme <no-reply@acme.example>`.")
    name: str | NotShown = Field(
        default=None,
        title="Display name",
        description="How people read it, and the alternative text of the logo. Empty: the sender's name.",
    )
    reply_to: str | NotShown = Field(
        default=None, title="Reply-To", description="The address for answers and questions."
    )
    logo: str | NotShown = Field(default=None, title="Logo", description="The https address of an image.")
    accent: str | NotShown = Field(
        default=None, title="Colour", description="Six hexadecimal digits, such as #0b7285."
    )
    accent_dark: str | NotShown = Field(
        default=None, title="Colour in dark mode", description="Six hexadecimal digits, such as #66d9e8."
    )
    postal_address: list[str] = Field(
        default=[], title="Postal address", description="The lines of the address below its mails."
    )
    footer: list[str] = Field(default=[], title="Footer", description="The lines above the postal address.")
    signature: str | NotShown = Field(
        default=None, title="Signature", description="The lines at the end of its mails."
    )
    providers: dict[str, list[str]] = Field(
        default={},
        title="Providers",
        description="By kind of channel, the only providers that its messages use, the first to try first: "
        '`{"email": ["ses"]}`.',
    )


def terms(form: Mapping[str, Any]) -> dict[str, Any]:
    """A saved form as terms of WAYPOST_BRANDS, without the fields that were left empty."""
    said = {name: form.get(name) for name in WaypostBrand.model_fields}
    return {name: value for name, value in said.items() if value not in (None, "", [], {})}
