"""The request that sends a type's sample to one address."""

from __future__ import annotations

import json

from pydantic import ValidationError

from waypost.config.settings import Settings
from waypost.deployments.file_send import read
from waypost.deployments.registry import Registered
from waypost.model.brand import DEFAULT
from waypost.model.request import Recipient
from waypost.model.validation_messages import explain
from waypost.rendering.samples import NoSample, sample_of
from waypost.system.ids import new_id


class NoRecipient(ValueError):
    """The address or the locale is wrong. option: which. Says why."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(why)
        self.option = option


def sample_request(one: Registered, address: str, locale: str | None, settings: Settings) -> bytes:
    """A line, as of a file for `waypost send`. Its idempotency key never repeats. The locale is always named,
    so that it is not one that the ledger remembers for the address. Its brand is checked when it is sent.

    Raises NoRecipient, and NoSample for a sample that is missing or does not fit the type."""
    recipient = _recipient(address, locale or settings.default_locale)
    sample = sample_of(one.type.name, settings.template_folders, settings.default_sender)
    request = {"recipient": recipient, "data": sample.facts, "idempotency_key": f"sample {new_id()}"}
    line = json.dumps(request).encode()
    wrong = read(one, line, (one.type.brand or DEFAULT,))
    if isinstance(wrong, str):
        raise NoSample(f"{sample.file}: {wrong}" if wrong.startswith("data") else wrong)
    return line


def _recipient(address: str, locale: str) -> dict[str, str]:
    kind = "email" if "@" in address else "phone"
    recipient = {kind: address, "locale": locale}
    try:
        Recipient.model_validate(recipient)
    except ValidationError as error:
        field, _, why = explain(error).partition(": ")
        raise NoRecipient("--locale" if field == "locale" else "--to", why) from None
    return recipient
