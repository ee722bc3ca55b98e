"""The brands of the settings, with their defaults filled in."""

from __future__ import annotations

from waypost.config.settings import Settings
from waypost.mail.headers import parse_mailbox
from waypost.model.brand import DEFAULT, NO_TERMS, Brand, BrandTerms


def brands(settings: Settings) -> dict[str, Brand]:
    """Every brand by its name, the default first. Only the default takes what it lacks from WAYPOST_SENDER,
    WAYPOST_REPLY_TO and WAYPOST_SIGNATURE: no brand shows another's address."""
    others = {name: brand_of(name, terms) for name, terms in settings.brands.items() if name != DEFAULT}
    return {DEFAULT: _default(settings), **others}


def brand_of(key: str, terms: BrandTerms) -> Brand:
    """A brand besides the default, of its own terms alone."""
    return _made(key, terms, terms.sender or "")


def _default(settings: Settings) -> Brand:
    terms = settings.brands.get(DEFAULT, NO_TERMS)
    inherited = {"reply_to": settings.reply_to, "signature": settings.signature}
    lacking = {name: value for name, value in inherited.items() if getattr(terms, name) is None}
    return _made(DEFAULT, terms.model_copy(update=lacking), settings.default_sender)


def _made(key: str, terms: BrandTerms, sender: str) -> Brand:
    display, address = parse_mailbox(sender)
    return Brand(
        key=key,
        name=terms.name or display or address,
        sender=sender,
        reply_to=terms.reply_to or "",
        signature=terms.signature or "",
        logo=str(terms.logo or ""),
        accent=terms.accent or "",
        accent_dark=terms.accent_dark or "",
        postal_address=tuple(terms.postal_address),
        footer=tuple(terms.footer),
        providers=terms.providers,
    )
