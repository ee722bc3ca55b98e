"""The check of WAYPOST_CATEGORIES: settings that stop mail which recipients need."""

from __future__ import annotations

from waypost.config.settings import Settings
from waypost.deployments.doctor.finding import Finding
from waypost.model.category import Category, no_longer_mandatory, terms_of

WHAT = "categories"


def category_findings(settings: Settings) -> list[Finding]:
    """Notes; none for categories as they ship."""
    return [*_may_be_stopped(settings), *_cannot_be_confirmed(settings)]


def _may_be_stopped(settings: Settings) -> list[Finding]:
    """Codes are of a category that nothing stops, until a setting says otherwise."""
    names = ", ".join(no_longer_mandatory(settings.categories))
    if not names:
        return []
    found = f"{names} is not mandatory: a suppression or a choice can stop a code or a password reset"
    return [Finding(WHAT, ok=True, found=found, advice='set "mandatory": true in WAYPOST_CATEGORIES')]


def _cannot_be_confirmed(settings: Settings) -> list[Finding]:
    """Without pages, only the API confirms."""
    terms = {category: terms_of(category, settings.categories) for category in Category}
    names = ", ".join(category for category, one in terms.items() if one.confirm and not one.mandatory)
    if settings.public_url is not None or not names:
        return []
    found = f"recipients cannot confirm {names} by themselves: WAYPOST_PUBLIC_URL is not set"
    advice = "set it, or confirm over the API; see `waypost docs recipients`"
    return [Finding(WHAT, ok=True, found=found, advice=advice)]
