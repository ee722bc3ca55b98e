"""The declarations that apply to each element of a page, in light and in dark mode (CSS Cascade 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cssselect2  # pyright: ignore[reportMissingTypeStubs]

from waypost.rendering.checks.colours import is_colour
from waypost.rendering.checks.css import Declaration, Rule, Tokens, inline, stylesheet
from waypost.rendering.checks.page import Element, Page

# Each rule may be tried at each element. A digest needs some 3,000 trials; these take two seconds at most.
MOST_TRIALS = 400_000
LONGEST_SELECTOR = 60  # tokens: matching goes a level deeper for each part

_SCHEME = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)")
_PLAIN = re.compile(r"media (only )?(all |screen )?(and )?")


class TooManyRules(ValueError):
    """A style sheet has so many rules for so many elements that they are not matched. Says how many."""


@dataclass(frozen=True, slots=True)
class _Applied:
    """The declarations of a rule. scheme: the only mode in which they apply, or an empty text."""

    declarations: list[Declaration]
    scheme: str


def is_valid(one: Declaration) -> bool:
    """Whether a browser takes the declaration, as far as contrast needs to know."""
    kinds = {token.type for token in one.value}
    match one.name:
        case "color" | "background-color":
            return len(one.value) == 1 and is_colour(one.value[0])
        case "background":
            return bool(kinds) and all(is_colour(token) for token in one.value if token.type == "hash")
        case "font-size":
            return len(one.value) == 1 and not kinds & {"hash", "string"}
        case "opacity":
            return len(one.value) == 1 and kinds <= {"number", "percentage", "function"}
        case _:
            return True


class Cascade:
    """What applies to the elements of a page. Rules for widths and for printing are left out: they are for
    some screens only."""

    def __init__(self, page: Page) -> None:
        self._matcher: Any = cssselect2.Matcher()
        rules = [rule for sheet in page.sheets for rule in _rules_of(sheet.text, sheet.media)]
        if len(rules) * len(page.elements) > MOST_TRIALS:
            raise TooManyRules(f"{len(rules):,} rules for {len(page.elements):,} elements")
        for rule in rules:
            self._add(rule)
        self._matched: dict[Element, list[tuple[tuple[int, ...], _Applied]]] = {}

    def _add(self, rule: Rule) -> None:
        schemes = [_scheme(condition) for condition in rule.conditions]
        if None in schemes or len(rule.selector) > LONGEST_SELECTOR:
            return
        named = {scheme for scheme in schemes if scheme}
        if len(named) > 1:
            return
        applied = _Applied([*rule.declarations], "".join(named))
        try:
            compiled: Any = cssselect2.compile_selector_list(rule.selector)  # pyright: ignore
        except (cssselect2.SelectorError, RecursionError, SyntaxError):
            return  # a mail program leaves out a rule whose selector it does not know
        for selector in compiled:
            if selector.pseudo_element is None:
                self._matcher.add_selector(selector, applied)

    def of(self, element: Element, scheme: str) -> Mapping[str, Tokens]:
        """The values by property that win in a scheme, `light` or `dark`."""
        plain, important = dict[str, Tokens](), dict[str, Tokens]()
        for one in self._in_order(element, scheme):
            if not is_valid(one):
                continue  # the declaration before it stays
            (important if one.important else plain)[one.name] = one.value
            # A shorthand and its longhand replace each other, in the order in which they are written.
            if one.name == "background":
                (important if one.important else plain).pop("background-color", None)
        if "background" in important:
            plain.pop("background-color", None)
        return {**plain, **important}

    def _in_order(self, element: Element, scheme: str) -> Iterator[Declaration]:
        if element not in self._matched:
            found: Any = self._matcher.match(element.css)
            ordered = sorted(found, key=lambda match: match[:2])
            self._matched[element] = [(match[0], match[3]) for match in ordered]
        for _, applied in self._matched[element]:
            if applied.scheme in ("", scheme):
                yield from applied.declarations
        yield from inline(element.attributes.get("style", ""))


def _rules_of(text: str, media: str) -> Iterator[Rule]:
    for rule in stylesheet(text).rules:
        around = (f"media {media.lower()}",) if media else ()
        yield Rule(rule.selector, rule.declarations, (*around, *rule.conditions))


def _scheme(condition: str) -> str | None:
    """The mode that a condition asks for, an empty text for every mode; None if it asks for anything else. Of
    a list of media queries, one is enough."""
    first, *others = condition.split(",")
    asked = {_scheme_of(first), *(_scheme_of(f"media {other}") for other in others)} - {None}
    if len(asked) > 1:
        return ""
    return asked.pop() if asked else None


def _scheme_of(condition: str) -> str | None:
    found = _SCHEME.search(condition)
    rest = " ".join(_SCHEME.sub("", condition).split())
    if not _PLAIN.fullmatch(f"{rest} "):
        return None
    return found[1] if found else ""
