"""A rendered page for checks: its elements in order, its style sheets, and where both are in the source."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cssselect2  # pyright: ignore[reportMissingTypeStubs]
from lxml import html  # pyright: ignore[reportMissingTypeStubs, reportAttributeAccessIssue, reportUnknownVariableType]

from waypost.rendering.checks.finding import Finding, Level
from waypost.rendering.checks.source_lines import ATTRIBUTE, CLASS, SHEET_MARK

_ADDRESS = re.compile(r"""https?://[^\s"'<>]+""")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*>")  # of XHTML; the parser refuses its encoding
DEEPEST = 250  # elements within each other; the parser leaves out what is deeper than 255


@dataclass(eq=False, slots=True)
class Element:
    """texts: its own text, without that of the elements in it. css: the same element for cssselect2. line: of
    its tag in the source, or 0. written: whether the source has its tag, and the MJML compiler did not make
    it."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None
    depth: int
    css: Any
    texts: list[str] = field(default_factory=list[str])
    line: int = 0
    written: bool = False

    def lineage(self) -> Iterator[Element]:
        """The element, and those around it from the inside out."""
        found: Element | None = self
        while found is not None:
            yield found
            found = found.parent

    @property
    def read(self) -> str:
        """What a reader reads in it: all text, and the alternative texts of images."""
        node = self.css.etree_element
        return " ".join([*node.xpath("string()").split(), *(one.get("alt", "") for one in node.iter("img"))])

    @property
    def nearest_line(self) -> int:
        """The line of the element, or of the nearest around it that has a line; else 0."""
        return next((one.line for one in self.lineage() if one.line), 0)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A style sheet. marks: pairs of a line in it and the line of the source that begins there. media: of its
    element."""

    text: str
    marks: Sequence[tuple[int, int]]
    media: str

    def source_line(self, line: int) -> int:
        """The line of the source, or 0 if the sheet is not of the source."""
        after = bisect_right(self.marks, line, key=lambda mark: mark[0])
        if not after:
            return 0
        here, there = self.marks[after - 1]
        return there + line - here


@dataclass(frozen=True, slots=True)
class Page:
    """origin: makes the file and line in messages of a line of the source. written: the addresses that the
    source itself has, and not a fact. has_lines: whether elements know their lines."""

    text: str
    elements: Sequence[Element]
    sheets: Sequence[Sheet]
    lang: str
    direction: str
    origin: Callable[[int], tuple[str, int]]
    written: Collection[str] = ()
    has_lines: bool = False

    def fault(self, element: Element | None, said: str) -> Finding:
        return self._finding(Level.FAULT, element, said)

    def note(self, element: Element | None, said: str) -> Finding:
        return self._finding(Level.NOTE, element, said)

    def at(self, level: Level, line: int, said: str) -> Finding:
        """A finding about a line of the source."""
        return Finding(level, *self.origin(line), said)

    def _finding(self, level: Level, element: Element | None, said: str) -> Finding:
        return self.at(level, element.nearest_line if element else 0, said)

    def of(self, *tags: str) -> list[Element]:
        """The elements with one of these tags."""
        return [one for one in self.elements if one.tag in tags]


@dataclass(frozen=True, slots=True)
class Lines:
    """What a marked page knows. elements: tag, line, whether the source has the tag. sheets: their marks."""

    elements: Sequence[tuple[str, int, bool]] = ()
    sheets: Sequence[Sequence[tuple[int, int]]] = ()


NO_LINES = Lines()


def elements_of(text: str) -> tuple[list[Element], list[Sheet]]:
    """The elements and style sheets of HTML, with the lines of a marked page."""
    written = _DECLARATION.sub("", text)
    root: Any = html.document_fromstring(written if "<html" in written.lower() else f"<html>{written}</html>")  # pyright: ignore
    wrapper: Any = cssselect2.ElementWrapper.from_html_root(root)  # pyright: ignore
    made: dict[Any, Element] = {}
    for css in wrapper.iter_subtree():
        node = css.etree_element
        parent = made.get(node.getparent())
        one = Element(node.tag, dict(node.attrib), parent, parent.depth + 1 if parent else 0, css)
        one.texts = [part for part in (node.text, *(child.tail for child in node)) if part]
        _take_mark(one)
        made[node] = one
    elements = list(made.values())
    return elements, [_sheet(one) for one in elements if one.tag == "style"]


def _take_mark(one: Element) -> None:
    names = one.attributes.get("class", "").split()
    marks = [name for name in names if name.startswith(CLASS)]
    one.written = ATTRIBUTE in one.attributes
    line = one.attributes.pop(ATTRIBUTE, "") or (marks[0].removeprefix(CLASS) if marks else "")
    one.line = int(line) if line.isdecimal() else 0
    rest = " ".join(name for name in names if name not in marks)
    if rest:
        one.attributes["class"] = rest
    else:
        one.attributes.pop("class", None)


def _sheet(one: Element) -> Sheet:
    text, marks = "".join(one.texts), list[tuple[int, int]]()
    for found in SHEET_MARK.finditer(text):
        marks.append((text.count("\n", 0, found.start()) + 1, int(found[1])))
    return Sheet(SHEET_MARK.sub("", text), marks, one.attributes.get("media", ""))


def lines_of(text: str) -> Lines:
    """The lines of a marked page."""
    elements, sheets = elements_of(text)
    return Lines([(one.tag, one.line, one.written) for one in elements], [one.marks for one in sheets])


def page_of(
    text: str,
    lang: str,
    direction: str,
    origin: Callable[[int], tuple[str, int]],
    source: str = "",
    lines: Lines = NO_LINES,
) -> Page:
    """The page of a mail's HTML. source: its MJML. lines: of the same page with marks; left out where they do
    not fit."""
    elements, sheets = elements_of(text)
    fits = [tag for tag, _, _ in lines.elements] == [one.tag for one in elements]
    if fits:
        for one, (_, line, of_source) in zip(elements, lines.elements, strict=True):
            one.line, one.written = line, of_source
        sheets = [Sheet(one.text, marks, one.media) for one, marks in zip(sheets, lines.sheets, strict=True)]
    written = frozenset(_ADDRESS.findall(source))
    return Page(text, elements, sheets, lang, direction, origin, written, fits)
