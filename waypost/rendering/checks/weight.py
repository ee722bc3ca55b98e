"""The weight of a mail's HTML, and how deep it nests."""

from __future__ import annotations

from collections.abc import Iterator

from waypost.rendering.checks.finding import Finding
from waypost.rendering.checks.page import DEEPEST, Page

# Gmail cuts a mail's HTML off at 102 kB, and shows a link to the rest. An unsubscribe link at its end is then
# not shown.
CLIPPED = 102_000  # bytes
HEAVY = 80_000  # bytes: a few more items in a list, and the mail is clipped
LARGEST = 400_000  # bytes that the other checks look at


def weight(text: str, page: Page) -> Iterator[Finding]:
    """Findings about the HTML's bytes, as they are before the mail's transfer encoding."""
    bytes = len(text.encode())
    size = f"the HTML is {bytes / 1000:.0f} kB"
    if bytes > CLIPPED:
        rest = ", and nothing else of it is checked" if bytes > LARGEST else ""
        yield page.fault(None, f"{size}{rest}; Gmail cuts off what is above 102 kB: shorten the mail")
    elif bytes > HEAVY:
        yield page.note(None, f"{size}; Gmail cuts off what is above 102 kB: keep some room")


def depth(page: Page) -> Iterator[Finding]:
    """A finding about elements so deep that they are not looked at."""
    deepest = max(page.elements, key=lambda one: one.depth)
    if deepest.depth >= DEEPEST:
        yield page.fault(deepest, f"elements are nested {DEEPEST} deep or deeper; use fewer levels")
