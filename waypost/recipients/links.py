"""The tokens of the links in mails: whose choice a link changes, encrypted and authenticated. Pure.

A token is AES-256-GCM (NIST SP 800-38D) over its values, in base64url (RFC 4648, section 5) without padding.
Nobody without the installation's secret key can read or make a token. The key of the tokens is derived from
the secret key for this purpose alone.

The nonce is an HMAC of the values: equal values have equal tokens, and other values another nonce. A mail
that is rendered again has the same links.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, cast
from urllib.parse import quote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from waypost.ledger.database.sealing import is_address_in_clear
from waypost.model.brand import DEFAULT
from waypost.model.category import Category
from waypost.model.mail_links import MailLinks
from waypost.model.notification import Notification

LONGEST = 900  # characters of a URL: it stands on one header line, which has 998 at most
_NONCE = 12  # octets
_TAG = 16  # octets


class Page(StrEnum):
    """What a link opens, as the first part of its path. A token of one page does not open another."""

    UNSUBSCRIBE = "u"
    PREFERENCES = "p"
    CONFIRM = "c"


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says.

    client, key: whose recipient; client is empty for requests without an API key. category: the only one that
    the link may turn off, or confirm; None for the page, which may change each. generation: the recipient's
    when the link was made; the link is revoked when the recipient has another. address: the email address
    that the mail went to, or empty. brand: the name of the brand whose mail it was. confirms: whether the
    link confirms its category, instead of turning it off.
    """

    client: str
    key: str = field(repr=False)
    category: Category | None = None
    generation: int = 0
    address: str = field(default="", repr=False)
    brand: str = DEFAULT
    confirms: bool = False

    @property
    def page(self) -> Page:
        if self.confirms:
            return Page.CONFIRM
        return Page.PREFERENCES if self.category is None else Page.UNSUBSCRIBE


class Links:
    """Makes and reads the tokens of an installation. secret_key: the installation's."""

    def __init__(self, secret_key: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(secret_key, b"links in mails", "sha256"))
        self._nonces = hmac.digest(secret_key, b"nonces of links in mails", "sha256")

    def token(self, link: Link) -> str:
        """The token of a link: letters, digits, `-` and `_`."""
        values, page = _written(link), link.page.encode()
        nonce = hmac.digest(self._nonces, page + values, "sha256")[:_NONCE]
        return urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, values, page)).decode().rstrip("=")

    def read(self, page: Page, token: str) -> Link | None:
        """What a token of `page` says; None for a token that is forged, damaged or of another page. Whether
        the link is revoked is for the ledger to say."""
        sealed = _decoded(token)
        if sealed is None or len(sealed) <= _NONCE + _TAG:
            return None
        try:
            values = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], page.encode())
        except InvalidTag:
            return None
        return _read(page, values)

    def of(
        self, notification: Notification, category: Category, public_url: str | None, mail_address: str = ""
    ) -> MailLinks:
        """The links of a notification to turn `category` off, and to choose. public_url: of the pages,
        without a slash at its end; None without pages. mail_address: takes mails that unsubscribe; empty
        without."""
        link = _link(notification, category)
        by_mail = self._shortened(link, mailto(mail_address)) if mail_address else ""
        urls = (
            [self._url(public_url, one) for one in (link, replace(link, category=None))] if public_url else []
        )
        if urls and all(urls):
            return MailLinks(*urls, unsubscribe_by_mail=by_mail)
        return MailLinks(unsubscribe=by_mail, unsubscribe_by_mail=by_mail)

    def confirming(self, public_url: str, notification: Notification, category: Category) -> str:
        """The URL by which the notification's recipient confirms `category`; empty if it is too long."""
        return self._url(public_url, replace(_link(notification, category), confirms=True))

    def _url(self, public_url: str, link: Link) -> str:
        return self._shortened(link, f"{public_url}/{link.page}/")

    def _shortened(self, link: Link, before: str) -> str:
        """`before` and the token of a link; empty if a header line cannot hold them. A long link first goes
        without its address: the choice then holds for the recipient, whatever their addresses."""
        for shorter in (link, replace(link, address="")):
            url = before + self.token(shorter)
            if len(url) <= LONGEST:
                return url
        return ""


def mailto(address: str) -> str:
    """The beginning of the URL by which a mail goes to `address` with a token as its subject (RFC 6068)."""
    return f"mailto:{quote(address, safe='@+')}?subject="


def _link(notification: Notification, category: Category) -> Link:
    person = notification.recipient
    return Link(
        client=notification.client,
        key=person.key,
        category=category,
        generation=notification.link_generation,
        address=person.email or "",
        brand=notification.brand,
    )


def _written(link: Link) -> bytes:
    """The values as JSON."""
    brand = [] if link.brand == DEFAULT else [link.brand]
    values = [link.client, link.key, link.category or "", link.generation, link.address, *brand]
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _read(page: Page, written: bytes) -> Link | None:
    """None for values that this version does not write."""
    try:
        client, key, scope, generation, address, *brand = cast("Sequence[Any]", json.loads(written))
        category = Category(scope) if scope else None
    except (ValueError, TypeError):
        return None
    if not address and key.startswith("mailto:") and is_address_in_clear(key):  # of a mail sent before 0016
        address = key.removeprefix("mailto:")
    link = Link(client, key, category, generation, address, brand[0] if brand else DEFAULT)
    if page is Page.CONFIRM and category is not None:
        link = replace(link, confirms=True)
    return link if link.page is page else None


def _decoded(token: str) -> bytes | None:
    """None for a text that is not base64url as `token` writes it: each token has one spelling."""
    try:
        sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (Error, ValueError):
        return None
    return sealed if urlsafe_b64encode(sealed).decode().rstrip("=") == token else None
