"""Every shipped type in every language, with facts that are hard to lay out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

from support.shipped_types import SHIPPED, sample
from waypost.flows.digest import compose
from waypost.mail.allowed_senders import Senders
from waypost.mail.build import Sender
from waypost.model.brand import Brand
from waypost.model.mail_links import NO_LINKS, MailLinks, shown_links
from waypost.model.notification import HeldItem, Notification, ResolvedRecipient
from waypost.rendering.live_templates import Templates
from waypost.rendering.messages import Renderer, render_one

LANGUAGES = ("de", "en", "es", "fr", "pt", "zh")
TYPES = {
    name: import_module(f"waypost.flows.{name.replace('-', '_')}").TYPE
    for name in sorted(SHIPPED - {"message"})
}
TEMPLATES = Templates(Path(__file__).parents[2] / "templates")
PORTUGAL, OTHERS = "Europe/Lisbon", "Europe/Berlin"  # time zones
MOMENT = datetime(2026, 3, 25, 2, 14, 9, tzinfo=UTC)
CODE = "482913"
MINTED = {
    "code": CODE,
    "link": f"https://app.harbour.example/verify?token={'eyJhbGciOi' * 12}",
    "token": "eyJhbGciOi" * 12,
    "minutes": 15,
}


def alert_facts(**more: Any) -> dict[str, Any]:
    return {
        "severity": "critical",
        "source": "db-1",
        "summary": "Disk almost full: 96 % of /var/lib/postgresql/16/main/base/pgsql_tmp used",
        "started_at": "2026-03-25T03:14:09+01:00",
        "labels": {"cluster": "berths", "kubernetes_namespace_and_workload": "harbour-" * 9},
        "url": "https://status.harbour.example/alerts/4411",
        **more,
    }


def held(number: int, severity: str = "info", **more: Any) -> HeldItem:
    data = alert_facts(severity=severity, summary=f"number {number}", status="firing", **more)
    return HeldItem(UUID(int=number), data, number + 1, MOMENT + timedelta(minutes=number))


def order_facts(**more: Any) -> dict[str, Any]:
    lines = [
        {"product": "Roggenmehl Type 1150, 25 kg", "quantity": 8, "unit_price": "21.40", "discount": "0.05"},
        {"product": "Crème-brûlée-Förmchen, handglasiert", "quantity": 12_000, "unit_price": "1119.99"},
        {"product": "Donaudampfschifffahrtskapitänskajüte", "quantity": 1, "unit_price": "129000.00"},
    ]
    return {
        "order_id": "1042",
        "ordered_at": "2026-03-02",
        "company": "Bäckerei Grünwald GmbH",
        "currency": "EUR",
        "lines": lines,
        "freight": "14.90",
        "ship_to": {
            "name": "Blue Mesa Diner & Catering",
            "address": "404 Juniper Loop\nBack door",
            "city": "Alta Vista",
            "region": "NM",
            "postal_code": "87999",
            "country": "United States",
        },
        "order_url": "https://shop.harbour.example/orders/1042",
        **more,
    }


def digest_facts(**more: Any) -> dict[str, Any]:
    warned = held(3, "warning", unsubscribe_url=STOP)
    items = [held(0, "warning"), held(1), held(2, "critical"), warned, held(4)]
    return {**compose(items, MOMENT + timedelta(minutes=9)), **more}


STOP = "https://status.harbour.example/digests/stop?id=7"
FACTS = {
    "alert": alert_facts(),
    "digest": digest_facts(),
    "order-confirmation": order_facts(),
    "signup-verification": {"product": "Harbour Books", "verify_url": "https://app.harbour.example/verify"},
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A rendered mail, and the short text of its notification."""

    mail: EmailMessage
    short: str

    @property
    def subject(self) -> str:
        return str(self.mail["Subject"])

    @property
    def html(self) -> str:
        return self._part("html")

    @property
    def text(self) -> str:
        return self._part("plain")

    def _part(self, kind: str) -> str:
        part = self.mail.get_body((kind,))
        assert part is not None
        return part.get_content().replace("\r\n", "\n")


def shown(
    type: str,
    locale: str,
    facts: dict[str, Any] | None = None,
    *,
    reply_to: str = "",
    brand: Brand | None = None,
    templates: Templates = TEMPLATES,
    links: MailLinks = NO_LINKS,
    **more: Any,
) -> Shown:
    """The shipped type's mail for a recipient of this locale. more: replaces some facts."""
    if facts is None and brand is None and templates is TEMPLATES and not more:
        return _usual(type, locale, reply_to, links)
    facts = {**(_facts(type) if facts is None else facts), **more}
    return _rendered(type, locale, facts, renderer(reply_to, brand, templates), links)


@cache
def _usual(type: str, locale: str, reply_to: str, links: MailLinks) -> Shown:
    """The mail of the usual facts: many tests look at it, and nobody changes it."""
    return _rendered(type, locale, _facts(type), renderer(reply_to), links)


def _facts(type: str) -> dict[str, Any]:
    return FACTS.get(type) or sample(type)


def _rendered(type: str, locale: str, data: dict[str, Any], by: Renderer, links: MailLinks) -> Shown:
    declared = TYPES[type]
    person = ResolvedRecipient(
        "ada", "ada@a.example", "+4917012345", "Ada Grünwald", locale, PORTUGAL if locale == "pt" else OTHERS
    )
    notification = Notification(
        UUID(int=7), type, declared.lane, person, data, 3, MOMENT, MOMENT + timedelta(hours=1)
    )
    also_short = replace(declared, route=("email", "sms"))
    minted = {name: MINTED[name] for name in declared.minted}
    if type == "invitation":
        minted["minutes"] = 7 * 24 * 60
    links = replace(links, confirm=shown_links(declared).confirm)
    rendered = render_one(by, also_short, notification, minted, (), links)
    assert rendered.error is None, rendered.error
    read = message_from_bytes(rendered.messages["email"].content, policy=policy.default)
    return Shown(read, rendered.messages["sms"].content.decode())


def renderer(reply_to: str = "", brand: Brand | None = None, templates: Templates = TEMPLATES) -> Renderer:
    sender, signature = "Harbour Books <no-reply@harbour.example>", "Harbour Books\n1 Quay Lane, Wells"
    return Renderer(
        templates=templates,
        sender=Sender.parse(sender),
        signature=signature,
        reply_to=reply_to,
        signers=(),
        senders=Senders.parse(""),
        served={"email", "sms"},
        brand=brand or Brand("default", "Harbour Books", sender, reply_to, signature),
    )


def everything(**more: Any) -> Iterator[tuple[str, str, Shown]]:
    """Each type in each language."""
    for type in TYPES:
        for lang in LANGUAGES:
            yield type, lang, shown(type, lang, **more)
