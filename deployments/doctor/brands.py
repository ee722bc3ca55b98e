"""The check of brands: each brand, the providers it names, its signature, and who names an unknown brand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from waypost.channels.channel import Channel
from waypost.config.brands import brands
from waypost.config.mail import dkim_signers, signers_of
from waypost.config.settings import Settings
from waypost.deployments.doctor.finding import Finding
from waypost.deployments.registry import Registered, registered
from waypost.ledger.records.api_keys import ApiKey
from waypost.mail.build import Sender
from waypost.mail.dkim import Signer
from waypost.mail.dkim_keys import KeyUnusable
from waypost.model.brand import Brand, no_such_brand

SEE = "`waypost docs brands` describes brands"


def brand_findings(
    settings: Settings, available: Sequence[Channel], added: Mapping[str, Brand] | None = None
) -> list[Finding]:
    """The brands in one line, then a finding for each kind of fault. Empty where only the default brand is
    used, and nothing names another. available: all providers. added: the brands kept as blocks in Prefect,
    after those of the settings."""
    own = brands(settings)
    known = {**(added or {}), **own}
    faults = [
        *(fault for one in known.values() for fault in _provider_faults(one, available)),
        *unknown_brands(registered().values(), known),
    ]
    if len(known) == 1 and not settings.brands and not faults:
        return []
    listed = "; ".join(
        f"{name}: {one.sender}{'' if name in own else ' (a block in Prefect)'}" for name, one in known.items()
    )
    return [
        Finding("brands", ok=True, found=listed),
        *(
            [Finding("brands", ok=False, found="; ".join(faults), advice=f"correct it; {SEE}")]
            if faults
            else []
        ),
        *_unsigned(known, settings),
    ]


def key_findings(keys: Sequence[ApiKey], known: Collection[str]) -> list[Finding]:
    """Whether the brands of API keys exist: every request with another key's brand is refused."""
    lost = [f"{one.id} (client {one.client}): {one.brand}" for one in keys if one.brand not in (None, *known)]
    if not lost:
        return []
    found = f"API keys for brands that do not exist: {', '.join(lost)}"
    advice = "add the brand to WAYPOST_BRANDS or as a block in Prefect, or replace the key"
    return [Finding("keys", ok=False, found=found, advice=advice)]


def _provider_faults(brand: Brand, available: Sequence[Channel]) -> Iterator[str]:
    """A clause for each provider that the brand names and that cannot serve it."""
    kinds = {one.name: one.kind for one in available}
    for kind, names in brand.providers.items():
        for name in names:
            where = f"{brand.key}.providers.{kind}"
            if name not in kinds:
                yield f"{where} names {name}, but no provider is called {name}"
            elif kinds[name] != kind and not (kinds[name] == "*" and kind != "email"):
                yield f"{where} names {name}, which serves {kinds[name]}"


def unknown_brands(types: Iterable[Registered], known: Mapping[str, Brand]) -> Iterator[str]:
    """A sentence for each type of a brand that does not exist."""
    for one in types:
        if one.type.brand is not None and one.type.brand not in known:
            yield f"{one.file}: {no_such_brand(one.type.brand, known)}"


def _unsigned(known: Mapping[str, Brand], settings: Settings) -> list[Finding]:
    """The brands whose mails no key signs, if others are signed."""
    try:
        signers: Sequence[Signer] = dkim_signers(settings)
    except KeyUnusable:
        return []  # the check of signing reports this
    lacking = [Sender.parse(one.sender).domain for one in known.values() if not signers_of(one, signers)]
    if not signers or not lacking:
        return []
    advice = "add a key to WAYPOST_DKIM_KEY and its domain to WAYPOST_DKIM_DOMAIN, unless your provider signs"
    return [Finding("brands", ok=True, found=f"no key signs for {', '.join(lacking)}", advice=advice)]
