"""Finds the reason and the line of a fault in MJML, where the compiler's own error names neither."""

from __future__ import annotations

import re
from dataclasses import dataclass

from waypost.rendering.html_comments import HTML_COMMENT


@dataclass(frozen=True, slots=True)
class MjmlFault:
    """line: 0 if unknown."""

    reason: str
    line: int = 0


_SAID = re.compile(r"(.*?)(?: in root template)?(?: at position (\d+):\d+)?", re.DOTALL)
_NOT_ALLOWED = "unexpected element"
_IN_WORDS = {
    "unable to find mjml element": "it has no <mjml> element",
    "unable to parse next template": "it is not well-formed MJML; look for a stray <",
    "unexpected end of stream": "it ends inside an element; look for a missing end tag",
    _NOT_ALLOWED: "an element is not allowed here",
    "unexpected token": "this is not allowed here; a template is one <mjml> element",
}

_INCLUDE = re.compile("<mj-include")
_JINJA = re.compile(r"\{\{.*?(?:\}\}|\Z)|\{%.*?(?:%\}|\Z)|\{#.*?(?:#\}|\Z)", re.DOTALL)
TAG = re.compile(r"""<(/?)([A-Za-z][\w-]*)(?:"[^"]*"|'[^']*'|[^<>"'])*?(/?)>""")
_BEGUN = re.compile(r"</?[A-Za-z][\w-]*")
_STRAY = re.compile(r"<(?![A-Za-z/!?])")
# HTML, section 13.1.2: these have no end tag.
_VOID = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")


DEEPEST = 100  # elements within each other; the compiler ends the process where its stack ends


def too_deep(source: str) -> MjmlFault | None:
    """The first element that is within too many others, if there is one."""
    depth: list[str] = []
    hidden = masked(HTML_COMMENT.sub(lambda found: _filled(found[0], " "), source))
    for found in TAG.finditer(hidden):
        ends, name, empty = found.groups()
        if ends:
            while name in depth and depth.pop() != name:
                pass
        elif not empty and name.lower() not in _VOID:
            depth.append(name)
        if len(depth) > DEEPEST:
            reason = f"<{name}> is within {DEEPEST} other elements; a template has fewer"
            return MjmlFault(reason, _line(hidden, found.start()))
    return None


def find_fault(source: str, said: str) -> MjmlFault:
    """The fault for which the compiler said `said`."""
    if found := _INCLUDE.search(source):
        return MjmlFault('write {% include "..." %} instead of <mj-include>', _line(source, found.start()))
    told = _SAID.fullmatch(said)
    what, position = told.groups() if told else (said, None)
    line = source.encode()[: int(position)].count(b"\n") + 1 if position else 0
    found = None if what == _NOT_ALLOWED else _fault_in(source)
    line, reason = found or (line, _IN_WORDS.get(what, what))
    return MjmlFault(reason, line)


def _fault_in(source: str) -> tuple[int, str] | None:
    """The first fault of the syntax, with its line."""
    source = HTML_COMMENT.sub(lambda found: _filled(found[0], " "), source)
    hidden = masked(source)
    return (
        _less_than_in_jinja(source, hidden)
        or _stray_less_than(hidden)
        or _unfinished(hidden)
        or _wrong_end(hidden)
    )


def masked(source: str) -> str:
    """`source` with an x for each character of its Jinja. Its lines stay the same."""
    return _JINJA.sub(lambda found: _filled(found[0], "x"), source)


def _filled(text: str, filler: str) -> str:
    """Filler of the length and the lines of `text`."""
    return re.sub(r"[^\n]", filler, text)


def lines_of(element: str, source: str) -> list[int]:
    """The lines that begin the element, outside comments."""
    shown = HTML_COMMENT.sub(lambda found: _filled(found[0], " "), source)
    return [_line(shown, found.start()) for found in re.finditer(rf"<{re.escape(element)}(?![\w-])", shown)]


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _less_than_in_jinja(source: str, masked: str) -> tuple[int, str] | None:
    """A < in Jinja, outside tags: the compiler reads it as the start of a tag. In attributes it is right."""
    outside, after = "", 0
    for tag in TAG.finditer(masked):
        outside += source[after : tag.start()] + _filled(tag[0], " ")
        after = tag.end()
    outside += source[after:]
    for found in _JINJA.finditer(outside):
        if (at := found[0].find("<")) >= 0:
            return _line(source, found.start() + at), _JINJA_FAULT
    return None


_JINJA_FAULT = "a < inside a Jinja expression breaks the XML; compare with > instead"


def _stray_less_than(masked: str) -> tuple[int, str] | None:
    found = _STRAY.search(masked)
    return (_line(masked, found.start()), "a < does not begin an element; write &lt;") if found else None


def _unfinished(masked: str) -> tuple[int, str] | None:
    """The first tag without its >."""
    found = _BEGUN.search(TAG.sub(lambda tag: _filled(tag[0], " "), masked))
    return (_line(masked, found.start()), f"{found[0]} has no >") if found else None


def _wrong_end(masked: str) -> tuple[int, str] | None:
    """The first end tag that does not end the innermost element, or the innermost element without one."""
    open_tags: list[tuple[str, int]] = []
    for found in TAG.finditer(masked):
        ends, name, empty = found.groups()
        if empty or name.lower() in _VOID:
            continue
        if not ends:
            open_tags.append((name, _line(masked, found.start())))
        elif all(name != one for one, _ in open_tags):
            return _line(masked, found.start()), f"</{name}> has no start tag"
        elif open_tags[-1][0] == name:
            open_tags.pop()
        else:
            break
    return (open_tags[-1][1], f"<{open_tags[-1][0]}> has no end tag") if open_tags else None
