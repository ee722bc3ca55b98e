"""Finds templates by type and locale, compiles MJML when loading them, renders them in a sandbox.

The sandbox guards code, not data, so a context holds plain values only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from mjml import mjml2html  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from waypost.rendering import filters
from waypost.rendering.constant_folding import put_in_place
from waypost.rendering.mjml_fault import MjmlFault, find_fault
from waypost.rendering.preheader import with_padded_preheader

PARTS = ("subject.txt", "body.mjml", "body.txt", "short.txt")
LARGEST = 2_000_000  # characters; more than any mail should be, less than a runaway loop makes
FALLBACK_LOCALE = "en"
RARE = 1.2  # how much longer HTML may become by character references


# A no-break space alone would push a text message out of the compact GSM alphabet.
_PLAIN_SPACES = {0xA0: " ", 0x202F: " "}


class TemplateError(ValueError):
    """A template is missing, broken, or uses an undefined variable. The message is for people."""


class _BrokenMjml(TemplateError):
    """The MJML compiler takes a template or one of its included files for broken."""

    def __init__(self, fault: MjmlFault) -> None:
        super().__init__(fault.reason)
        self._fault = fault

    def at(self, where: str) -> str:
        """The fault with its file: `where`, and the included file."""
        file = f"{where}: {self._fault.file}" if self._fault.file else where
        line = f", line {self._fault.line}" if self._fault.line else ""
        return f"{file}{line}: {self._fault.reason}"


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """The compiled templates of one type in one language."""

    lang: str
    subject: jinja2.Template
    plain: jinja2.Template
    html: jinja2.Template
    short: jinja2.Template


@dataclass(frozen=True, slots=True)
class Words:
    """The rendered texts of a notification."""

    subject: str
    plain: str
    html: str
    short: str


class Templates:
    """Folders of `<type>/<locale>/{subject.txt,body.mjml,body.txt,short.txt}`, the first to search first.

    A file replaces the file of the same path in a later folder. If a folder has every part of a type in some
    language, later folders are not searched for that type. Each set is compiled on first use and kept.
    """

    def __init__(self, folders: Path | Sequence[Path], default_locale: str = FALLBACK_LOCALE) -> None:
        self._folders = (folders,) if isinstance(folders, Path) else tuple(folders)
        self._default_locale = default_locale
        self._sets: dict[tuple[str, str], TemplateSet] = {}
        self._searched: dict[str, list[Path]] = {}
        self._html = _environment(autoescape=True)
        self._text = _environment(autoescape=False)
        self._lines: dict[str, jinja2.Template] = {}

    def find(self, type: str, locale: str) -> TemplateSet:
        """The set of `type` in the nearest available language: pt-BR, then pt, then the default.

        Raises TemplateError naming the type and the languages tried.
        """
        tried = chain(locale, self._default_locale)
        for lang in tried:
            if (type, lang) in self._sets:
                return self._sets[type, lang]
            if any((folder / type / lang).is_dir() for folder in self.folders(type)):
                found = self._sets[type, lang] = self._load(type, lang)
                return found
        raise TemplateError(
            f"no templates for {type} in {', '.join(tried)}: add templates/{type}/{tried[-1]}/"
        )

    def languages(self, type: str) -> list[str]:
        """The languages that have templates of `type`."""
        return sorted({lang for folder in self.folders(type) for lang in _languages(folder / type)})

    def folders(self, type: str) -> list[Path]:
        """The folders whose templates of `type` are used, the first to search first."""
        if type in self._searched:
            return self._searched[type]
        found: list[Path] = []
        for folder in self._folders:
            if languages := _languages(folder / type):
                found.append(folder)
            if any(_is_complete(folder / type / lang) for lang in languages):
                break
        if found:
            self._searched[type] = found
        return found

    def name(self, type: str, lang: str, part: str) -> str:
        """A part's name in messages: `templates/alert/en/body.txt`, or `waypost/templates/...` for a shipped
        part that is used beside a project's templates."""
        path = f"{type}/{lang}/{part}"
        found = self.path(type, lang, part)
        return f"{'' if found in (None, self._folders[0] / path) else 'waypost/'}templates/{path}"

    def path(self, type: str, lang: str, part: str) -> Path | None:
        """A part's file; None if there is none."""
        return _first(self.folders(type), f"{type}/{lang}/{part}")

    def sources(self, type: str, lang: str, name: str) -> tuple[str, str]:
        """A part as it is written, and as it is rendered: with MJML compiled and its includes in place.
        Raises TemplateError."""
        source = self._read(type, lang, name)
        return source, self._html_of(source) if name.endswith(".mjml") else source

    def syntax(self, source: str) -> nodes.Template:
        """The syntax tree of a template."""
        return self._text.parse(source)

    def _read(self, type: str, lang: str, name: str) -> str:
        path = f"{type}/{lang}/{name}"
        found = _first(self.folders(type), path) or self._folders[0] / path
        try:
            return found.read_text(encoding="utf-8")
        except OSError as error:
            raise TemplateError(f"{self.name(type, lang, name)}: {error.strerror}") from None

    def line(self, source: str) -> jinja2.Template:
        """A template of one line, from a type's declaration. Raises TemplateError."""
        if source not in self._lines:
            try:
                self._lines[source] = self._text.from_string(source)
            except jinja2.TemplateSyntaxError as error:
                raise TemplateError(f"{error.message} (in a template of the type's declaration)") from None
        return self._lines[source]

    def _load(self, type: str, lang: str) -> TemplateSet:
        return TemplateSet(
            lang=lang,
            subject=self._compile(self._text, type, lang, "subject.txt"),
            plain=self._compile(self._text, type, lang, "body.txt"),
            html=self._compile(self._html, type, lang, "body.mjml"),
            short=self._compile(self._text, type, lang, "short.txt"),
        )

    def _compile(self, environment: jinja2.Environment, type: str, lang: str, name: str) -> jinja2.Template:
        where = self.name(type, lang, name)
        source = self._read(type, lang, name)
        try:
            environment.parse(source)  # first, so that an error names a line of this file
            if name.endswith(".mjml"):
                source = self._html_of(source)
            code = environment.compile(put_in_place(environment.parse(source)))
            # A dict, not Jinja's chain of dicts: Jinja copies all of it for every part of a mail.
            return jinja2.Template.from_code(environment, code, dict(environment.globals))
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"{where}, line {error.lineno}: {error.message}") from None
        except _BrokenMjml as error:
            raise TemplateError(error.at(where)) from None
        except Exception as error:
            raise TemplateError(f"{where}: {error}") from None

    def _html_of(self, source: str) -> str:
        """MJML compiled to HTML, without web fonts: a mail loads nothing from other hosts."""
        not_taken: list[str] = []
        taken: dict[str, str] = {}

        def include(path: str) -> str:
            try:
                taken[path] = self._included(path)
                return taken[path]
            except (OSError, TemplateError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                not_taken.append(f"{path}: {reason}")
                raise

        try:
            compiled = str(mjml2html(source, include_loader=include, fonts={}))
            return _in_short_lines(with_padded_preheader(compiled))
        except Exception as error:  # the MJML compiler raises bare exceptions
            if not_taken:  # the compiler's own error says where it failed, but not why
                raise TemplateError(not_taken[0]) from None
            raise _BrokenMjml(find_fault(source, taken, str(error))) from None

    def _included(self, path: str) -> str:
        folder = next((one for one in self._folders if (one / path).exists()), self._folders[-1])
        included = (folder / path).resolve()
        if not included.is_relative_to(folder.resolve()):
            raise TemplateError("an include must stay inside the templates folder")
        return included.read_text(encoding="utf-8")


def _languages(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _is_complete(folder: Path) -> bool:
    return all((folder / part).is_file() for part in PARTS)


def _first(folders: Sequence[Path], path: str) -> Path | None:
    """The file in the first folder that has it."""
    return next((file for folder in folders if (file := folder / path).exists()), None)


def render(found: TemplateSet, context: Mapping[str, Any], *, mail: bool = True, short: bool = True) -> Words:
    """Render the parts of `found` with `context`: those of a mail, the short text, or both.

    Raises TemplateError naming part and variable.
    """
    values = {**context, "lang": found.lang}
    subject = _render("subject.txt", found.subject, values).strip()
    return Words(
        subject=subject,
        plain=_render("body.txt", found.plain, values).strip() + "\n" if mail else "",
        # `subject` is for the page's title; a fact of that name takes precedence.
        html=_plain_letters(_render("body.mjml", found.html, {"subject": subject, **values})) if mail else "",
        short=_render("short.txt", found.short, values).strip().translate(_PLAIN_SPACES) if short else "",
    )


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


def render_line(part: str, template: jinja2.Template, context: Mapping[str, Any]) -> str:
    """Render a header's value. Raises TemplateError naming part and variable."""
    return _render(part, template, context).strip()


def _render(part: str, template: jinja2.Template, values: Mapping[str, Any]) -> str:
    try:
        text = template.render(values)
    except jinja2.UndefinedError as error:
        raise TemplateError(f"{part}: {error.message}") from None
    except Exception as error:
        raise TemplateError(f"{part}: {type(error).__name__} while rendering") from None
    if len(text) > LARGEST:
        raise TemplateError(f"{part}: {len(text)} characters, more than the limit of {LARGEST}")
    return text


@lru_cache(1000)
def chain(locale: str, default: str) -> tuple[str, ...]:
    """The languages to try for `locale`, nearest first, without repeats."""

    def links() -> Iterator[str]:
        yield locale
        yield locale.partition("-")[0]
        yield default
        yield default.partition("-")[0]
        yield FALLBACK_LOCALE

    return tuple(dict.fromkeys(links()))


class _Sandbox(ImmutableSandboxedEnvironment):
    """Facts are dicts, so `line.total` is looked up as a key first. Jinja tries an attribute first, whose
    AttributeError costs more than the rest of an expression."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute in obj:
            return obj[attribute]  # pyright: ignore[reportUnknownVariableType]
        return super().getattr(obj, attribute)


def _environment(*, autoescape: bool) -> jinja2.Environment:
    environment = _Sandbox(
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=not autoescape,
        lstrip_blocks=not autoescape,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters.FILTERS)  # pyright: ignore[reportUnknownMemberType]
    return environment
