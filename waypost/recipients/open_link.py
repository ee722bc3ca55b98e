"""Opens a link: reads its token, and asks the ledger whether it is revoked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waypost.ledger import Ledger
from waypost.ledger.records import recipients
from waypost.model.category import Category, CategoryTerms, may_be_confirmed, may_be_turned_off
from waypost.recipients.links import Link, Links, Page


@dataclass(frozen=True, slots=True)
class Opened:
    """A link that works. locale: the recipient's; empty if it is unknown."""

    link: Link
    locale: str = ""


async def opened(
    ledger: Ledger, links: Links, page: Page, token: str, terms: Mapping[Category, CategoryTerms]
) -> Opened | None:
    """The link of a token; None for a token that is forged, damaged or of another page, for a link that is
    revoked (its recipient has newer links, or was forgotten), and for a category that recipients may not turn
    off, or confirm, any more. terms: of the categories, as the settings have them."""
    link = links.read(page, token)
    if link is None or not _may_be_used(link, terms):
        return None
    known = await recipients.linked(ledger, link.key, link.client)
    if known is None or known.generation != link.generation:
        return None
    return Opened(link, known.locale)


def _may_be_used(link: Link, terms: Mapping[Category, CategoryTerms]) -> bool:
    may = may_be_confirmed if link.confirms else may_be_turned_off
    return link.category is None or link.category in may(terms)
