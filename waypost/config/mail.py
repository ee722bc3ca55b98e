"""Settings of mail: the DKIM signers, and the senders allowed in a mail that its author finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from waypost.config.brands import brands
from waypost.config.settings import Settings
from waypost.mail.allowed_senders import Senders
from waypost.mail.build import Sender
from waypost.mail.dkim import Signer
from waypost.mail.dkim_keys import signers
from waypost.mail.headers import parse_mailbox
from waypost.model.brand import DEFAULT, Brand


def dkim_signers(settings: Settings) -> list[Signer]:
    """A signer for each key of WAYPOST_DKIM_KEY; empty if it is not set. Reads the files it names.

    Raises KeyUnusable naming the setting, never its value.
    """
    keys = settings.dkim_key.get_secret_value() if settings.dkim_key else ""
    domain = settings.dkim_domain or Sender.parse(settings.default_sender).domain
    return signers(keys, settings.dkim_selector, domain, settings.dkim_unsigned)


def signers_of(brand: Brand, signers: Sequence[Signer]) -> Sequence[Signer]:
    """Those of `signers` that sign the brand's mails: the keys of its domain. Without such a key, the default
    brand is signed by all keys, because WAYPOST_DKIM_DOMAIN may name a provider's domain."""
    domain = Sender.parse(brand.sender).domain
    own = [one for one in signers if one.serves(domain)]
    return own if own or brand.key != DEFAULT else signers


def allowed_senders(settings: Settings, brand: Brand | None = None) -> Senders:
    """The domain of the brand's sender (the default brand's without `brand`), and the senders of
    WAYPOST_SUBMISSION_SENDERS. Raises ValueError."""
    sender = settings.default_sender if brand is None else brand.sender
    return _senders(sender, settings.submission_senders)


def senders_of_brands(settings: Settings, known: Mapping[str, Brand] | None = None) -> dict[str, Senders]:
    """The senders allowed in finished mails of each brand. known: all brands; those of the settings without
    it."""
    all_of = brands(settings) if known is None else known
    return {name: allowed_senders(settings, brand) for name, brand in all_of.items()}


@lru_cache(256)
def _senders(sender: str, others: str) -> Senders:
    found = Senders.parse(others)
    domain = parse_mailbox(sender)[1].rpartition("@")[2]
    return Senders(found.addresses, found.domains | {domain})
