"""Style sheets as rules, parsed once for all mails that have the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import tinycss2  # pyright: ignore[reportMissingTypeStubs]

Tokens = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Declaration:
    """name: in small letters, but for a custom property. line: in its sheet."""

    name: str
    value: Tokens
    important: bool
    line: int


@dataclass(frozen=True, slots=True)
class Rule:
    """selector: its tokens. conditions: the media queries and other at-rules around it, in small letters,
    with the at-rule's name: `media (prefers-color-scheme: dark)`."""

    selector: Tokens
    declarations: Sequence[Declaration]
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stylesheet:
    """at_rules: the name and the line of each at-rule."""

    rules: Sequence[Rule]
    at_rules: Sequence[tuple[str, int]]


MOST_NESTED = 8  # at-rules within each other
_AROUND = ("media", "supports", "layer")  # at-rules that have rules


@lru_cache(256)
def stylesheet(text: str) -> Stylesheet:
    """The rules of a style sheet. What is broken is left out (CSS Syntax 3, section 9)."""
    at_rules: list[tuple[str, int]] = []
    return Stylesheet([*_flat(_rules(text), (), at_rules)], at_rules)


def _flat(nodes: Tokens, conditions: tuple[str, ...], at_rules: list[tuple[str, int]]) -> Iterator[Rule]:
    """The rules in order. at_rules: gets the at-rules."""
    for node in nodes:
        if node.type == "qualified-rule":
            yield Rule(node.prelude, _declarations(node.content), conditions)
        elif node.type == "at-rule":
            name = node.lower_at_keyword
            at_rules.append((name, node.source_line))
            if node.content is not None and name in _AROUND and len(conditions) < MOST_NESTED:
                query = " ".join(written(node.prelude).lower().split())
                yield from _flat(_rules(node.content), (*conditions, f"{name} {query}"), at_rules)


@lru_cache(2000)
def inline(style: str) -> Sequence[Declaration]:
    """The declarations of a style attribute."""
    return _declarations(style)


def written(tokens: Tokens) -> str:
    """Tokens as CSS. A bracket that is nested deeper than Python allows is nothing that a mail needs."""
    try:
        return tinycss2.serialize(tokens)  # pyright: ignore
    except RecursionError:
        return ""


def _rules(content: Any) -> Tokens:
    return tinycss2.parse_stylesheet(  # pyright: ignore
        content, skip_comments=True, skip_whitespace=True
    )


def _declarations(content: Any) -> Sequence[Declaration]:
    found: Any = tinycss2.parse_blocks_contents(  # pyright: ignore
        content, skip_comments=True, skip_whitespace=True
    )
    return [
        Declaration(
            one.name if one.name.startswith("--") else one.lower_name,
            [token for token in one.value if token.type not in ("whitespace", "comment")],
            one.important,
            one.source_line,
        )
        for one in found
        if one.type == "declaration"
    ]


def functions(tokens: Tokens) -> Iterator[tuple[str, Tokens]]:
    """The functions in a value at any depth, with their arguments."""
    waiting: list[Any] = [*tokens]
    while waiting:
        token = waiting.pop()
        inner: Any = getattr(token, "arguments", None) or getattr(token, "content", None)
        if token.type == "function":
            yield token.lower_name, token.arguments
        if isinstance(inner, list):
            waiting += inner


def units(tokens: Tokens) -> Mapping[str, None]:
    """The units of the dimensions in a value, at any depth."""
    every = [*tokens, *(token for _, inner in functions(tokens) for token in inner)]
    return {token.lower_unit: None for token in every if token.type == "dimension"}
