"""A provider as a block in Prefect, where a person edits it in a form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, HttpUrl, SecretStr
from pydantic.json_schema import SkipJsonSchema

from waypost.config.settings import Settings
from waypost.model.priority import Priority
from waypost.model.provider import Connections, Kind, PerSecond, Provider, Weight
from waypost.tasks.providers.trial_message import send_test

# What the URL of a provider may be, beyond Waypost's own schemes.
DOCUMENTATION = HttpUrl("https://github.com/caronc/apprise")
NotShown = SkipJsonSchema[None]  # else the form asks for each field whether it is to be null


class WaypostProvider(Block):
    """A provider, on the terms that WAYPOST_PROVIDERS has too; the block's name is the provider's."""

    _block_type_name = "Waypost provider"
    _block_type_slug = "waypost-provider"
    # No logo: Prefect's client takes an address of the web alone, which a UI without internet cannot show.
    _documentation_url = DOCUMENTATION
    # Prefect's card cuts it after some two hundred characters.
    _description = (
        "Where Waypost sends notifications; workers load it in half a minute. Its name is the provider's: "
        "small letters, digits and hyphens, at most 41, as no setting has it. `waypost doctor` checks it."
    )
    model_config = ConfigDict(hide_input_in_errors=True)

    url: SecretStr = Field(
        title="URL",
        description="`smtp://user:password@host:587` or `smtps://` for a mail server, "
        "`maildir:///absolute/folder` for files, `webhook+https://host/path`, or an Apprise "
        "URL such as `twilio://SID:TOKEN@+12025550100/{phone}`. In a password, "
        "percent-encode `@ : / ? #` and similar characters.",
    )
    kind: Kind | NotShown = Field(
        default=None,
        title="Kind",
        description="Kind of message, as in a type's route: `sms`, `chat`, `push` and so on. For an "
        "Apprise URL or a webhook only; a mail server and a maildir serve email.",
    )
    weight: Weight | NotShown = Field(
        default=None,
        title="Weight",
        description="Share of first tries among the weighted providers of its kind: 3 beside 1 gets "
        "three of four. A provider without a weight comes after older providers.",
    )
    rate: PerSecond | NotShown = Field(
        default=None,
        title="Rate",
        description="Messages a second, over all workers together. Empty: unlimited.",
    )
    connections: Connections | NotShown = Field(
        default=None,
        title="Connections",
        description="The most connections that a worker opens to a mail server. Empty: 4.",
    )
    lanes: list[Priority] = Field(
        default=list(Priority),
        title="Lanes",
        description="Priorities that the provider takes. Empty: all.",
    )
    secrets: SecretStr | NotShown = Field(
        default=None,
        title="Signing secrets",
        description="Signing keys of a webhook, `whsec_...`: one key, or two separated by a space "
        "while the receiver changes keys.",
    )
    allow_private: bool = Field(
        default=False,
        title="Allow private addresses",
        description="Whether a webhook may lead to a private network.",
    )

    async def send_test(self, to: str) -> str:
        """Send a test message to an email address or a phone number, and return the provider's answer. Raises
        ValueError for a provider that cannot be used, ChannelUnavailable if it does not open."""
        name = self._block_document_name or "unsaved"
        form = {key: _plain(value) for key, value in dict(self).items() if key in type(self).model_fields}
        return str(await send_test(Settings(), name, Provider.model_validate(terms(form)), to))


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def terms(form: Mapping[str, Any]) -> dict[str, Any]:
    """A saved form as terms of WAYPOST_PROVIDERS, without the fields that were left empty."""
    said = {name: form.get(name) for name in WaypostProvider.model_fields}
    filled = {name: value for name, value in said.items() if value not in (None, "", [])}
    if isinstance(secrets := filled.get("secrets"), str):
        filled["secrets"] = re.split(r"[\s,]+", secrets.strip())
    return filled
