"""The page's language, direction and title, and its headings: what a screen reader goes by."""

from __future__ import annotations

from collections.abc import Iterator

from waypost.rendering.checks.finding import Finding
from waypost.rendering.checks.page import Page


def document(page: Page) -> Iterator[Finding]:
    """Findings about the html element and the title (WCAG 2.2, sections 3.1.1 and 2.4.2)."""
    root = page.elements[0]
    lang, dir = root.attributes.get("lang", ""), root.attributes.get("dir", "")
    if not lang:
        yield page.fault(root, 'the page does not name its language; write <mjml lang="{{ lang }}">')
    elif lang.partition("-")[0].lower() != page.lang.partition("-")[0].lower():
        yield page.fault(
            root, f'the page says that its language is {lang}; write <mjml lang="{{{{ lang }}}}">'
        )
    if not dir:
        yield page.fault(root, 'the page has no direction; write <mjml dir="{{ direction }}">')
    elif dir != page.direction:
        yield page.fault(root, f'the direction {dir} is wrong; write <mjml dir="{{{{ direction }}}}">')
    titles = page.of("title")
    if not titles or not "".join(titles[0].texts).strip():
        yield page.fault(root, "the page has no title; write <mj-title>{{ subject }}</mj-title>")


def headings(page: Page) -> Iterator[Finding]:
    """Findings about the outline: one heading of the first level, and no level left out."""
    found = page.of("h1", "h2", "h3", "h4", "h5", "h6")
    if not found:
        yield page.fault(None, "the mail has no heading; make its title an <h1>")
        return
    levels = [int(one.tag[1]) for one in found]
    first = levels[0]
    for before, level, one in zip([first, *levels], levels, found, strict=False):
        if one is not found[0] and level <= first:
            yield page.fault(
                one,
                f"<{one.tag}> stands beside the title, <h{first}>; a mail has one title: use <h{first + 1}>",
            )
        elif level > before + 1:
            yield page.fault(
                one, f"<{one.tag}> follows <h{before}>; use <h{before + 1}>: no level is left out"
            )
