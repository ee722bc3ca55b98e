"""Links and images: where they lead, and what a reader knows of them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from waypost.rendering.checks.finding import Finding
from waypost.rendering.checks.page import Element, Page

_SCHEMES = frozenset({"https", "mailto", "tel", "sms"})

# RFC 2606, sections 2 and 3: names that lead nowhere.
_NOWHERE = ("example", "invalid", "test", "localhost", "example.com", "example.net", "example.org")

# A screen reader lists links without the text around them (WCAG 2.2, section 2.4.4).
_SAYS_NOTHING = frozenset(
    """
    here|click here|click|this link|link|more|read more|go
    hier|hier klicken|klicken sie hier|klick hier|klicke hier|link|mehr|weiter|weiterlesen
    aquí|haz clic aquí|haga clic aquí|haz clic|pulsa aquí|pulse aquí|clic aquí|enlace|este enlace|más|leer más
    ici|cliquez ici|clique ici|cliquer ici|lien|ce lien|plus|lire la suite
    aqui|clique aqui|clica aqui|carregue aqui|ligação|este link|mais|ler mais|leia mais
    这里|此处|点击这里|点击此处|点这里|点此|单击此处|请点击这里|请点击此处|链接|此链接|更多|阅读更多
    """.strip().replace("\n", "|").replace("  ", "").split("|")
)  # fmt: skip


def links(page: Page) -> Iterator[Finding]:
    """Findings about each link: its address, then its text."""
    names = {one.attributes.get(key) for one in page.elements for key in ("id", "name")}
    for link in page.of("a", "area"):
        if "href" not in link.attributes and link.attributes.keys() & {"id", "name"}:
            continue  # the target of a link inside the mail
        yield from _address(page, link, names)
        if link.tag == "a":
            yield from _text(page, link)


def _address(page: Page, link: Element, names: set[str | None]) -> Iterator[Finding]:
    href = link.attributes.get("href", "").strip()
    scheme, host = _split(href)
    if not href:
        yield page.fault(link, "a link has no address; write an https address into its href")
    elif href == "#":
        yield page.fault(
            link,
            "a link leads nowhere (#); write an https address (the filter url makes # of an address that is "
            "not safe)",
        )
    elif href.startswith("#"):
        if href[1:] not in names:
            yield page.fault(link, f"no element has the id of the link {href}; add it or correct the link")
    elif not scheme:
        yield page.fault(
            link, f"the link {_short(href)} is relative, and a mail has no base; write https://..."
        )
    elif scheme == "http":
        yield page.note(link, f"the link {_short(href)} is not encrypted; write https://...")
    elif scheme not in _SCHEMES:
        yield page.fault(link, f"mail programs do not open a link to {scheme}:; use https or mailto")
    if host and _leads_nowhere(host) and href in page.written:
        yield page.fault(link, f"the link {_short(href)} is a placeholder; write the real address, or a fact")


def _split(address: str) -> tuple[str, str]:
    """The scheme and the host, in small letters."""
    try:
        parts = urlsplit(address)
        return parts.scheme.lower(), (parts.hostname or "").lower()
    except ValueError:
        return "", ""


def _leads_nowhere(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in _NOWHERE)


def _short(address: str) -> str:
    return address if len(address) <= 60 else f"{address[:57]}..."


def _text(page: Page, link: Element) -> Iterator[Finding]:
    text = link.read.strip(" .:!>»→").casefold()
    if not text and not link.attributes.get("aria-label", "").strip():
        yield page.fault(link, "a link has no text; write where it leads (an image in it needs alt)")
    elif text in _SAYS_NOTHING:
        yield page.fault(link, f"the link text {text!r} does not say where the link leads; name its target")


def images(page: Page) -> Iterator[Finding]:
    """Findings about each image."""
    for image in page.of("img"):
        src = image.attributes.get("src", "").strip()
        scheme, _ = _split(src)
        if not src:
            yield page.fault(image, "an image has no address; write an https address into its src")
        elif not scheme:
            yield page.fault(image, f"the image {_short(src)} has a relative address; write https://...")
        elif scheme == "http":
            yield page.fault(
                image,
                f"the image {_short(src)} is not encrypted, and many programs block it; write https://...",
            )
        elif scheme not in ("https", "cid", "data"):
            yield page.fault(image, f"mail programs do not load an image from {scheme}:; use https")
        if "alt" not in image.attributes:
            yield page.fault(
                image, 'an image has no alternative text; write alt="...", or alt="" if it only decorates'
            )
        # An image with a height keeps its proportions; without either, Outlook shows its full size.
        if not {"width", "height"} & image.attributes.keys():
            yield page.fault(
                image, 'an image has no width, so Outlook shows its full size; write width="..."'
            )
