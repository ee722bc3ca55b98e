"""The templates of a type in a language: compiled when they are loaded, and rendered."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from types import CodeType
from typing import Any

import jinja2
from jinja2 import nodes
from mjml import mjml2html  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from waypost.rendering import bounds
from waypost.rendering.constant_folding import put_in_place
from waypost.rendering.layouts import Flat
from waypost.rendering.loop_limit import ROUNDS, Rounds, counted
from waypost.rendering.mjml_fault import MjmlFault, find_fault, too_deep
from waypost.rendering.preheader import with_padded_preheader
from waypost.rendering.raw_statements import with_raw_statements
from waypost.rendering.render_fault import RenderFault, fault_of, in_words
from waypost.rendering.sandbox import HTML, TEXT, environment_of
from waypost.rendering.syntax_fault import open_tag, said_of
from waypost.rendering.template_files import TOO_DEEP, TemplateError, TemplateFiles
from waypost.rendering.translating import Answer, Question, Translation, UntranslatableText, translate

KEPT = 64  # parts whose compiled code is kept
RARE = 1.2  # how much longer HTML may become by character references

# A no-break space alone would push a text message out of the compact GSM alphabet.
_PLAIN_SPACES = {0xA0: " ", 0x202F: " "}


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled part, and its text for messages about it."""

    template: jinja2.Template
    flat: Flat
    files: TemplateFiles

    @property
    def display(self) -> str:
        """Its file's name in messages."""
        return self.files.display(self.flat.files[0])

    def place_of(self, name: str) -> str:
        """The file and line that use a name first."""
        used = re.compile(r"\{[{%][^}]*?\b" + re.escape(name) + r"\b")
        found = used.search(self.flat.text)
        line = self.flat.text.count("\n", 0, found.end()) + 1 if found else 0
        return place(self.files, self.flat, line)

    def place_at(self, fault: RenderFault) -> str:
        """The file and line of a fault. A page is compiled from MJML, which has its lines."""
        name = self.flat.files[0]
        line = fault.line if environment_of(name) is TEXT else self._line_in_mjml(fault)
        return place(self.files, self.flat, line)

    def _line_in_mjml(self, fault: RenderFault) -> int:
        """The line of the filter or operator that failed; 0 if none did."""
        if not fault.word:
            return 0
        return self._same_place(fault.line, fault.word) or self._same_place(fault.line, "")

    def _same_place(self, line: int, word: str) -> int:
        """The line in MJML of what has the same place among its like as that in the compiled page's line."""
        compiled, written = (
            bounds.words_of(HTML.parse(text), word)
            for text in (html_of(self.files, self.flat), self.flat.text)
        )
        before = sum(one < line for one in compiled)
        return written[before] if before < len(written) == len(compiled) else 0


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """The compiled templates of a type in a language. version: changes with the text of any of them."""

    lang: str
    direction: str  # of the writing: ltr or rtl
    version: str
    subject: Part
    plain: Part
    html: Part
    short: Part


@dataclass(frozen=True, slots=True)
class Words:
    """The rendered texts of a notification."""

    subject: str
    plain: str
    html: str
    short: str


def compiled(
    files: TemplateFiles, lang: str, direction: str, parts: Mapping[str, Flat], translation: Translation
) -> TemplateSet:
    """The set of a language from its parts, by name. Raises TemplateError naming file and line."""
    known = {"lang": lang, "direction": direction}
    made = {
        name: Part(_compiled(files, name, flat, translation, known), flat, files)
        for name, flat in parts.items()
    }
    said = [*(flat.text for flat in parts.values()), *map(repr, sorted(translation.used.items()))]
    return TemplateSet(
        lang=lang,
        direction=direction,
        version=sha256("\0".join(said).encode()).hexdigest()[:12],
        subject=made["subject.txt"],
        plain=made["body.txt"],
        html=made["body.mjml"],
        short=made["short.txt"],
    )


def _compiled(
    files: TemplateFiles, name: str, flat: Flat, translation: Translation, known: Mapping[str, str]
) -> jinja2.Template:
    environment = environment_of(name)
    # A dict, not Jinja's chain of dicts: Jinja copies all of it for every part of a mail.
    values = {**environment.globals, **translation.globals()}
    key = (name, flat.text, *known.values())
    if (kept := _kept.get(key)) is None or not kept.holds(translation):
        kept = _kept[key] = _code(files, name, flat, translation, known)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return jinja2.Template.from_code(environment, kept.code, values)


@dataclass(frozen=True, slots=True)
class _Code:
    """The code of a part in a language, and the translations that it was made with."""

    code: CodeType
    asked: Sequence[tuple[Question, Answer]]

    def holds(self, translation: Translation) -> bool:
        """Whether other catalogues have the same translations."""
        return all(translation.find(*question) == answer for question, answer in self.asked)


# By part, text and language: a folder that has changed has most parts in common with what was compiled.
_kept: OrderedDict[tuple[str, ...], _Code] = OrderedDict()


def _code(
    files: TemplateFiles, name: str, flat: Flat, translation: Translation, known: Mapping[str, str]
) -> _Code:
    environment, before = environment_of(name), len(translation.asked)
    tree = syntax(files, name, flat, translation)  # of a page too: an error names a line of its file
    page = html_of(files, flat) if environment is HTML else ""
    try:
        if page:
            tree = translate(environment.parse(page), translation)
        put_in_place(tree, known)
        return _Code(environment.compile(counted(tree)), tuple(translation.asked[before:]))
    except jinja2.TemplateSyntaxError as error:
        where = place(files, flat, _line_of(environment, flat))
        raise TemplateError(f"{where}: {said_of(error, environment)}") from None
    except bounds.TooLarge as error:
        where = place(files, flat, error.line if environment is TEXT else _too_large_at(flat, known))
        raise TemplateError(f"{where}: {error}") from None
    except Exception as error:
        raise _without_line(files, flat, error) from None


def _without_line(files: TemplateFiles, flat: Flat, error: Exception) -> TemplateError:
    """A fault that no line is known of."""
    said = TOO_DEEP if isinstance(error, RecursionError) else str(error) or in_words(error)
    said = said or f"{type(error).__name__}; leave out what is unusual"
    return TemplateError(f"{files.display(flat.files[0])}: {said}")


def _line_of(environment: jinja2.Environment, flat: Flat) -> int:
    """The line that names a filter or test that does not exist. In compiled MJML it has another number."""
    try:
        environment.compile(environment.parse(flat.text))
    except jinja2.TemplateSyntaxError as error:
        return error.lineno
    return 0


def _too_large_at(flat: Flat, known: Mapping[str, str]) -> int:
    """The line in MJML that makes too much; 0 if only compiled MJML has it."""
    try:
        put_in_place(HTML.parse(flat.text), known)
    except bounds.TooLarge as error:
        return error.line
    return 0


def syntax(files: TemplateFiles, name: str, flat: Flat, translation: Translation) -> nodes.Template:
    """The translated syntax tree of a part, before MJML is compiled. Raises TemplateError with its place."""
    try:
        return translate(environment_of(name).parse(flat.text), translation)
    except jinja2.TemplateSyntaxError as error:
        raise _misspelt(files, flat, error) from None
    except UntranslatableText as error:
        raise TemplateError(f"{place(files, flat, error.line)}: {error}") from None
    except Exception as error:
        raise _without_line(files, flat, error) from None


def _misspelt(files: TemplateFiles, flat: Flat, error: jinja2.TemplateSyntaxError) -> TemplateError:
    with suppress(OSError, ValueError, jinja2.TemplateSyntaxError):  # a file has changed meanwhile
        if found := open_tag(error, flat.files, files.read):
            file, line, said = found
            return TemplateError(f"{files.display(file)}, line {line}: {said}")
    return TemplateError(f"{place(files, flat, error.lineno)}: {error.message}")


def place(files: TemplateFiles, flat: Flat, line: int) -> str:
    """The file and line of a line of a part's text."""
    file, number = flat.origin(line)
    return f"{files.display(file)}, line {number}" if number else files.display(file)


def html_of(files: TemplateFiles, flat: Flat) -> str:
    """MJML compiled to HTML, without web fonts: a mail loads nothing from other hosts. Raises
    TemplateError."""
    if fault := too_deep(flat.text):
        raise _broken(files, flat, fault)
    try:
        return _html(flat.text)
    except Exception as error:  # the MJML compiler raises bare exceptions
        fault = find_fault(with_raw_statements(flat.text), str(error))
        raise _broken(files, flat, fault) from None


def _broken(files: TemplateFiles, flat: Flat, fault: MjmlFault) -> TemplateError:
    others = [files.display(name) for name in flat.files[1:]]
    among = f" (it, or what it is made of: {', '.join(others)})" if others and not fault.line else ""
    return TemplateError(f"{place(files, flat, fault.line)}: {fault.reason}{among}")


@lru_cache(64)
def _html(text: str) -> str:
    """One compilation serves every language of a type."""
    return _in_short_lines(with_padded_preheader(str(mjml2html(with_raw_statements(text), fonts={}))))


def render(found: TemplateSet, context: Mapping[str, Any], *, mail: bool = True, short: bool = True) -> Words:
    """Render the parts of `found` with `context`: those of a mail, the short text, or both.

    Raises TemplateError naming file, line and variable.
    """
    values = {**context, "lang": found.lang, "direction": found.direction, ROUNDS: Rounds()}
    subject = _render(found.subject, values).strip()
    return Words(
        subject=subject,
        plain=_render(found.plain, values).strip() + "\n" if mail else "",
        # `subject` is for the page's title; a fact of that name takes precedence.
        html=_plain_letters(_render(found.html, {"subject": subject, **values})) if mail else "",
        short=_render(found.short, values).strip().translate(_PLAIN_SPACES) if short else "",
    )


def _render(part: Part, values: Mapping[str, Any]) -> str:
    return _rendered(part.template, values, part.place_at, part.place_of)


def render_line(part: str, template: jinja2.Template, context: Mapping[str, Any]) -> str:
    """Render a header's value. Raises TemplateError naming part and variable."""
    return _rendered(template, {**context, ROUNDS: Rounds()}, lambda _: part, lambda _: part).strip()


def _rendered(
    template: jinja2.Template,
    values: Mapping[str, Any],
    place_at: Callable[[RenderFault], str],
    place_of: Callable[[str], str],
) -> str:
    """The text. Raises TemplateError with the place of a fault, or the place that uses an undefined name."""
    try:
        return template.render(values)
    except jinja2.UndefinedError as error:
        raise TemplateError(f"{place_of(_name_in(error.message or ''))}: {error.message}") from None
    except Exception as error:
        fault = fault_of(error, template.environment)
        raise TemplateError(f"{place_at(fault)}: {fault.said}") from None


def _name_in(message: str) -> str:
    """The name that an error of Jinja's is about: the last in quotes."""
    return (re.findall(r"'([^']+)'", message) or [""])[-1]


def _in_short_lines(html: str) -> str:
    """Break the compiler's lines of thousands of characters between attributes, where any white space is
    allowed. Short lines (RFC 5322, section 2.1.1) need no encoding: building a mail takes half the time."""
    return html.replace(' style="', '\nstyle="')


def _plain_letters(html: str) -> str:
    """`html` in ASCII if other characters are rare in it: character references read the same and need no
    transfer encoding. Unchanged if a style sheet or script has such characters: there they would not."""
    if html.isascii():
        return html
    plain = html.encode("ascii", "xmlcharrefreplace")
    if len(plain) > len(html) * RARE or not all(raw.isascii() for raw in _raw(html)):
        return html
    return plain.decode()


def _raw(html: str) -> Iterator[str]:
    """The contents of style sheets and scripts; without an end tag in small letters, up to the end."""
    at = 0
    while found := _RAW.search(html, at):
        end = html.find(f"</{found[1].lower()}", found.end())
        yield html[found.end() : end if end >= 0 else None]
        at = end if end >= 0 else len(html)


_RAW = re.compile(r"<([sS][tT][yY][lL][eE]|[sS][cC][rR][iI][pP][tT])\b")  # three times as fast as re.I
