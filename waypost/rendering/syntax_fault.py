"""What is wrong with the syntax of a template, and in which of the files that it is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

import jinja2

from waypost.rendering.layouts import statements

_ENDS = re.compile(
    "Unexpected end of template|Encountered unknown tag 'end|unclosed translation block"
    "|control structures in translatable sections"
)
_UNKNOWN = re.compile(r"No (?P<kind>filter|test) named '(?P<name>\w+)'")
_OPENERS = frozenset({"block", "if", "for", "with", "filter", "trans", "set", "macro", "call", "autoescape"})


def nearest(name: str, names: Iterable[str]) -> str:
    """The most similar of the names; an empty text if none is similar."""
    return next(iter(get_close_matches(name, [*names], 1)), "")


def said_of(error: jinja2.TemplateSyntaxError, environment: jinja2.Environment) -> str:
    """Jinja's sentence, with the nearest name for an unknown filter or test."""
    said = error.message or ""
    if (found := _UNKNOWN.match(said)) is None:
        return said
    known: Iterable[str] = environment.filters if found["kind"] == "filter" else environment.tests  # pyright: ignore
    near = nearest(found["name"], known)
    return f"{said.rstrip('.')}{f'; is it {near}?' if near else ''}"


def open_tag(
    error: jinja2.TemplateSyntaxError, files: Iterable[str], read: Callable[[str], str]
) -> tuple[str, int, str] | None:
    """The file, line and fault of the tag that is not closed, or closes nothing, if that is the error. Jinja
    itself names where it misses the end: often the last line of a layout. read: as for `flatten`."""
    if _ENDS.match(error.message or ""):
        for file in files:
            if (found := _open_in(read(file))) is not None:
                return file, *found
    return None


def _open_in(source: str) -> tuple[int, str] | None:
    opened: list[tuple[int, str]] = []
    for line, word, rest in statements(source):
        if word in _OPENERS and not (word == "set" and "=" in rest):
            opened.append((line, word))
        elif word.startswith("end") and word[3:] in _OPENERS:
            if not any(one == word[3:] for _, one in opened):
                return line, f"{{% {word} %}} closes nothing"
            if opened[-1][1] != word[3:]:
                break
            opened.pop()
    if not opened:
        return None
    line, word = opened[-1]
    return line, f"{{% {word} %}} has no {{% end{word} %}}"
