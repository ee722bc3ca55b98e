"""The request that sends a type's sample to one address."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import ValidationError

from waypost.config.settings import Settings
from waypost.deployments.file_send import read
from waypost.deployments.registry import Registered
from waypost.model.brand import DEFAULT, Brand, no_such_brand
from waypost.model.request import Recipient
from waypost.model.validation_messages import explain
from waypost.rendering.samples import NoSample, sample_of
from waypost.system.ids import new_id

_NO_ADDRESS = "neither a mail address, such as ada@example.com, nor a phone number, such as +44 20 7946 0018"


class WrongOption(ValueError):
    """The address, the locale or the brand is wrong. option: which. Says why."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(why)
        self.option = option


def sample_request(
    one: Registered,
    address: str,
    locale: str | None,
    settings: Settings,
    brands: Mapping[str, Brand],
    brand: str | None = None,
) -> bytes:
    """A line, as of a file for `waypost send`. Its idempotency key never repeats. The locale is always named,
    so that it is not one that the ledger remembers for the address. brands: all brands. brand: default: the
    type's.

    Raises WrongOption, and NoSample for a sample that is missing or does not fit the type."""
    recipient = _recipient(address, locale or settings.default_locale)
    if brand is not None and brand not in brands:
        raise WrongOption("--brand", no_such_brand(brand, brands))
    whose = brands.get(brand or one.type.brand or DEFAULT, brands[DEFAULT])
    sample = sample_of(one.type.name, settings.template_folders, whose.sender)
    request = {"recipient": recipient, "data": sample.facts, "idempotency_key": f"sample {new_id()}"}
    line = json.dumps(request | ({"brand": brand} if brand else {})).encode()
    wrong = read(one, line, brands)
    if isinstance(wrong, str):
        raise NoSample(f"{sample.file}: {wrong}" if wrong.startswith("data") else wrong)
    return line


def _recipient(address: str, locale: str) -> dict[str, str]:
    recipient = {"email" if "@" in address else "phone": address, "locale": locale}
    try:
        Recipient.model_validate(recipient)
    except ValidationError as error:
        field, _, why = explain(error).partition(": ")
        if field == "locale":
            raise WrongOption("--locale", why) from None
        is_clear = "@" in address or address.startswith("+")
        raise WrongOption("--to", why if is_clear else _NO_ADDRESS) from None
    return recipient
