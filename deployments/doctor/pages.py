"""The check of the recipients' pages: whether the links in mails lead to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx

from waypost.config.environment import by_proxy
from waypost.config.settings import Settings
from waypost.deployments.doctor.finding import Finding
from waypost.deployments.registry import registered
from waypost.gateway.pages.app import ALIVE
from waypost.model.category import Category, may_be_turned_off
from waypost.model.notification_type import NotificationType
from waypost.net.no_answer import no_answer

ANSWERS_WITHIN = 5.0  # seconds
LINKS_LAST_DAYS = 30  # a way to unsubscribe works so long after a mail (16 CFR 316.4, for the USA)
WHAT, BY_MAIL = "pages", "unsubscribe"
SET = "set it as `waypost docs preference-page` describes"
LEAD = "start `waypost gateway --public PORT`, and lead the address there; see `waypost docs preference-page`"


async def page_findings(settings: Settings) -> list[Finding]:
    """Whether WAYPOST_PUBLIC_URL leads to the pages, and whether recipients may unsubscribe by mail; without
    either, a note if there are types that recipients should be able to turn off."""
    if settings.public_url is None and not settings.unsubscribe_address:
        return lacking(settings, (one.type for one in registered().values()))
    return [*await _of_the_address(settings), by_mail(settings)]


def by_mail(settings: Settings) -> Finding:
    """Whether mails name an address for mails that unsubscribe."""
    if not (address := settings.unsubscribe_address):
        return Finding(BY_MAIL, ok=True, found="off: WAYPOST_UNSUBSCRIBE_ADDRESS is not set")
    return Finding(BY_MAIL, ok=True, found=f"on: mails to {address} go to `waypost unsubscribe`")


async def _of_the_address(settings: Settings) -> list[Finding]:
    if settings.public_url is None:
        found = (
            "there are no pages: WAYPOST_PUBLIC_URL is not set, so mails name only the address to unsubscribe"
        )
        return [Finding(WHAT, ok=True, found=found, advice=SET), *ending_early(settings)]
    try:
        async with httpx.AsyncClient(timeout=ANSWERS_WITHIN) as client:
            answer = await client.get(f"{settings.public_url}/healthz")
    except httpx.HTTPError as error:
        told = f"{settings.public_url} {no_answer(error, ANSWERS_WITHIN)}{by_proxy(settings.public_url)}"
        return [Finding(WHAT, ok=False, found=told, advice=LEAD)]
    return [answering(settings.public_url, answer), *ending_early(settings)]


def ending_early(settings: Settings) -> list[Finding]:
    """A note if links end before recipients may expect it: a link ends with its recipient's row."""
    days = settings.retention_days
    if days is None or days >= LINKS_LAST_DAYS:
        return []
    found = f"links in mails can end after {days:g} days, with what WAYPOST_RETENTION_DAYS deletes"
    return [Finding(WHAT, ok=True, found=found, advice=f"set it to {LINKS_LAST_DAYS} days or more")]


def answering(url: str, answer: httpx.Response) -> Finding:
    """The finding for a response to /healthz under the public address."""
    said = _json(answer)
    if answer.is_success and said == ALIVE:
        return Finding(WHAT, ok=True, found=f"{url} leads to the pages of recipients")
    if answer.is_success and said == {"status": "ok"}:
        found = f"{url} leads to the API of a gateway, not to the pages: links in mails do not work"
    else:
        found = f"{url} leads to another program (HTTP {answer.status_code}): links in mails do not work"
    return Finding(WHAT, ok=False, found=found, advice=LEAD)


def lacking(settings: Settings, types: Iterable[NotificationType]) -> list[Finding]:
    """A note if WAYPOST_PUBLIC_URL is not set and a type is marketing or product news."""
    asked = {Category.MARKETING, Category.PRODUCT} & {*may_be_turned_off(settings.categories)}
    names = sorted(type.name for type in types if type.category in asked)
    if not names:
        return []
    found = f"mails of {', '.join(names)} have no link to unsubscribe: WAYPOST_PUBLIC_URL is not set"
    return [Finding(WHAT, ok=True, found=found, advice=SET)]


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
