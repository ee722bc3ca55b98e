"""A provider as a block in Prefect, where a person edits it in a form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretStr
from pydantic.json_schema import SkipJsonSchema

from waypost.model.priority import Priority
from waypost.model.provider import Connections, Kind, PerSecond, Weight

NotShown = SkipJsonSchema[None]  # else the form asks for each field whether it is to be null


class WaypostProvider(Block):
    """A provider, on the terms that WAYPOST_PROVIDERS has too; the block's name is the provider's."""

    _block_type_name = "Waypost provider"
    _block_type_slug = "waypost-provider"
    _description = (
        "Where Waypost sends notifications, and on what terms. The block's name is the provider's: letters "
        "from a to z, digits and hyphens, 41 at most, not beginning with a hyphen, and no name that the "
        "settings use. Workers take up what is saved within half a minute; `waypost doctor` says whether it "
        "is right."
    )
    model_config = ConfigDict(hide_input_in_errors=True)

    url: SecretStr = Field(
        title="URL",
        description="smtp://user:password@host:587 or smtps:// for a mail server, maildir:///absolute/folder "
        "for files, webhook+https://host/path, or a URL of Apprise's such as "
        "twilio://SID:TOKEN@+12025550100/{phone}. "
        "In a password write @ : / ? # and the like percent-encoded.",
    )
    kind: Kind | NotShown = Field(
        default=None,
        title="Kind",
        description="The word of a type's route that it serves, such as sms, chat or push. For an Apprise "
        "URL or a webhook; a mail server and a maildir serve email.",
    )
    weight: Weight | NotShown = Field(
        default=None,
        title="Weight",
        description="Its share of first tries among the providers of its kind that have a weight: 3 beside 1 "
        "gets three of four. Without one it comes after the providers there were before it.",
    )
    rate: PerSecond | NotShown = Field(
        default=None,
        title="Rate",
        description="Messages a second, over all workers together. Unlimited when empty.",
    )
    connections: Connections | NotShown = Field(
        default=None,
        title="Connections",
        description="Of a mail server: how many a worker opens at most. 4 when empty.",
    )
    lanes: list[Priority] = Field(
        default=list(Priority),
        title="Lanes",
        description="The priorities it takes. All when none is named.",
    )
    secrets: SecretStr | NotShown = Field(
        default=None,
        title="Signing secrets",
        description="Of a webhook: the whsec_... key that signs it; two, with a space between, while the "
        "receiver changes from one to the other.",
    )
    allow_private: bool = Field(
        default=False,
        title="Allow private addresses",
        description="Of a webhook: whether it may go to an address of a private network.",
    )


def terms(form: Mapping[str, Any]) -> dict[str, Any]:
    """A saved form as terms of WAYPOST_PROVIDERS, without the fields that were left empty."""
    said = {name: form.get(name) for name in WaypostProvider.model_fields}
    filled = {name: value for name, value in said.items() if value not in (None, "", [])}
    if isinstance(secrets := filled.get("secrets"), str):
        filled["secrets"] = re.split(r"[\s,]+", secrets.strip())
    return filled
