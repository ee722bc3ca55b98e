"""The gettext catalogues of a templates folder: `_locales/<language>/LC_MESSAGES/*.po`.

They are read as translators write them; nothing is compiled, so nothing is out of date.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import PoFileError, PoFileParser

from waypost.rendering.template_files import text_of

FOLDER = "_locales"
SOURCE_LANGUAGE = "en"  # the language of the texts in the templates themselves
_FILES = "[!.]*.po"  # without those that an editor has beside an open file, such as `.#messages.po`
MOST_FORMS = 6  # plural forms: Arabic has 6, and no language has more
_AMOUNTS = (*range(201), 1_000, 1_000_000)  # those for which a rule is tried: most look at n % 100
_RULE = "plural-forms"
_NO_NUMBER = f"Plural-Forms: nplurals must be a number from 1 to {MOST_FORMS}, as no language has more forms"

Key = tuple[str, str]  # context and text; the context is empty for a text without one
PluralRule = Callable[[int], int]  # the number of the plural form for an amount


class BrokenCatalogue(ValueError):
    """A catalogue cannot be read. Says which, where and why."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The translations into one language. texts: the forms of each text, one without a plural. folders: of
    the types and layouts that the catalogue names with its texts, translated or not. places: the file of each
    text, with the line."""

    texts: Mapping[Key, Sequence[str]]
    form: PluralRule
    folders: frozenset[str] = frozenset()
    places: Mapping[Key, str] = field(default_factory=dict[Key, str])


def english(amount: int) -> int:
    """English has a form for one, and a form for every other amount."""
    return int(amount != 1)


def babel_name(lang: str) -> str:
    """The language as gettext and Babel write it: `pt_BR`."""
    return lang.replace("-", "_")


def catalogue_folder(folder: Path, lang: str) -> Path:
    """Where the catalogues of a language (`pt-BR`) are in a templates folder."""
    return folder / FOLDER / babel_name(lang) / "LC_MESSAGES"


def catalogue_files(folder: Path, lang: str) -> list[Path]:
    """The catalogues of a language in a templates folder, by name. A folder of such a name is one of them, so
    that it is told of."""
    return sorted(catalogue_folder(folder, lang).glob(_FILES))


def catalogue_languages(folder: Path) -> list[str]:
    """The languages that have a catalogue in a templates folder."""
    found = (folder / FOLDER).glob(f"*/LC_MESSAGES/{_FILES}")
    return sorted({file.parents[1].name.replace("_", "-") for file in found})


class _WrongRule(Exception):
    """The header Plural-Forms cannot be used. Says why; `line` says where. It is no ValueError: Babel takes
    one for a fault of the next comment."""

    line = 0


class _Bounded(Catalog):
    """A catalogue that refuses a wrong header Plural-Forms before Babel makes room for the forms."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:  # pyright: ignore
        return Catalog.mime_headers.fget(self)  # pyright: ignore

    @mime_headers.setter
    def mime_headers(self, headers: Iterable[tuple[str, str]]) -> None:  # pyright: ignore
        for name, value in headers:
            try:
                Catalog.mime_headers.fset(self, [(name, value)])  # pyright: ignore
            except (ValueError, TypeError) as error:
                raise _WrongRule(_NO_NUMBER) if name.lower() == _RULE else error from None
            if name.lower() == _RULE:
                self._check_rule()

    def _check_rule(self) -> None:
        if not 1 <= self.num_plurals <= MOST_FORMS:
            raise _WrongRule(_NO_NUMBER)
        if wrong := _fault_of_rule(self.plural_expr, self.num_plurals):
            raise _WrongRule(f"Plural-Forms: plural={self.plural_expr[:80]} {wrong}")


def _fault_of_rule(rule: str, forms: int) -> str:
    """What is wrong with a plural rule that has so many forms; empty if nothing is."""
    try:
        form = gettext.c2py(rule)  # pyright: ignore
    except Exception as error:  # gettext compiles it, and does not say with which errors
        return f"is no rule: {error}"
    for amount in _AMOUNTS:
        try:
            number = form(amount)
        except ArithmeticError:
            return f"divides by zero for the amount {amount}"
        if not 0 <= number < forms:
            return f"gives form {number} for the amount {amount}; nplurals={forms} has 0 to {forms - 1}"
    return ""


def _parse(text: str, lang: str) -> Catalog:
    parser = PoFileParser(_Bounded(locale=babel_name(lang)), abort_invalid=True)
    try:
        parser.parse(StringIO(text))
    except _WrongRule as error:
        error.line = _line_of_the_rule(text, parser.offset)  # pyright: ignore
        raise
    return parser.catalog


def _line_of_the_rule(text: str, start: int) -> int:
    """The number of the line of the header Plural-Forms in the entry that starts after `start` lines."""
    lines = [*enumerate(text.split("\n"), 1)][start:]
    return next((at for at, line in lines if line[:1] != "#" and _RULE in line.lower()), start + 1)


def read_catalogue(files: Sequence[Path], lang: str) -> Catalogue:
    """The texts of the files, the first file's before those of later files. Fuzzy translations do not count.
    Raises BrokenCatalogue."""
    texts: dict[Key, Sequence[str]] = {}
    places: dict[Key, str] = {}
    form: PluralRule = english
    folders: set[str] = set()
    for number, file in enumerate(files):
        found = parsed(file, lang)
        form = form if number else gettext.c2py(found.plural_expr)  # pyright: ignore
        for key, forms, line in _texts(found):
            if key not in texts:
                texts[key], places[key] = forms, f"{place_of(file)}, line {line}"
        folders |= _folders(found)
    return Catalogue(texts, form, frozenset(folders), places)


def parsed(file: Path, lang: str) -> Catalog:
    """The catalogue in a file. Raises BrokenCatalogue."""
    try:
        text = text_of(file)
        if wrong := _wrong_line(text):
            raise BrokenCatalogue(f"{place_of(file)}, line {wrong}: neither a comment nor a text in quotes")
        return _parse(text, lang)
    except BrokenCatalogue:
        raise
    except _WrongRule as error:
        raise BrokenCatalogue(f"{place_of(file)}, line {error.line}: {error}") from None
    except PoFileError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise BrokenCatalogue(f"{place_of(file)}{line}: {error}") from None
    except IsADirectoryError:
        raise BrokenCatalogue(
            f"{place_of(file)}: a folder, and a catalogue is a file; move it away"
        ) from None
    except OSError as error:
        raise BrokenCatalogue(f"{place_of(file)}: {error.strerror}") from None
    except Exception as error:  # a header that babel cannot read, an encoding that is none
        raise BrokenCatalogue(f"{place_of(file)}: {error}") from None


# The lines of a PO file (GNU gettext, section 10). Babel takes others for texts without their last letter.
_LINE = re.compile(r'\s*(#.*|((msgctxt|msgid|msgid_plural|msgstr(\[\d+\])?)\s*)?"([^"\\]|\\.)*"\s*)?')


def _wrong_line(text: str) -> int:
    """The number of the first line that is none of a PO file; 0 without."""
    lines = enumerate(text.split("\n"), 1)
    return next((number for number, line in lines if not _LINE.fullmatch(line)), 0)


def _texts(catalogue: Iterable[Any]) -> Iterator[tuple[Key, Sequence[str], int]]:
    for message in catalogue:  # babel's are untyped
        forms, ids = forms_of(message.string), forms_of(message.id)
        if message.id and all(forms) and not message.fuzzy:
            yield (message.context or "", ids[0]), forms, message.lineno


def _folders(catalogue: Iterable[Any]) -> set[str]:
    places = (place for message in catalogue for place, _ in message.locations)
    return {str(place).partition("/")[0] for place in places}


def forms_of(texts: str | Iterable[str] | None) -> tuple[str, ...]:
    """The forms of a text as Babel has it; an empty text where there is none."""
    return (texts,) if isinstance(texts, str) else tuple(texts or ("",))


def place_of(file: Path) -> str:
    """The name of a catalogue in messages: `templates/_locales/de/LC_MESSAGES/messages.po`."""
    return "/".join(("templates", *file.parts[-4:]))
