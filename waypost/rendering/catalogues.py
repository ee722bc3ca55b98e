"""The gettext catalogues of a templates folder: `_locales/<language>/LC_MESSAGES/*.po`.

They are read as translators write them; nothing is compiled, so nothing is out of date.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import PoFileError, read_po

from waypost.rendering.template_files import text_of

FOLDER = "_locales"
SOURCE_LANGUAGE = "en"  # the language of the texts in the templates themselves

Key = tuple[str, str]  # context and text; the context is empty for a text without one
PluralRule = Callable[[int], int]  # the number of the plural form for an amount


class BrokenCatalogue(ValueError):
    """A catalogue cannot be read. Says which, where and why."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The translations into one language. texts: the forms of each text, one without a plural. folders: of
    the types and layouts that the catalogue names with its texts, translated or not. name: of the first
    file."""

    texts: Mapping[Key, Sequence[str]]
    form: PluralRule
    folders: frozenset[str] = frozenset()
    name: str = ""


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
    """The catalogues of a language in a templates folder, by name."""
    return sorted(catalogue_folder(folder, lang).glob("*.po"))


def catalogue_languages(folder: Path) -> list[str]:
    """The languages that have a catalogue in a templates folder."""
    return sorted(
        {
            file.parents[1].name.replace("_", "-")
            for file in (folder / FOLDER).glob("*/LC_MESSAGES/*.po")
            if file.exists() and not file.is_dir()  # `read_catalogue` names a pipe
        }
    )


def read_catalogue(files: Sequence[Path], lang: str) -> Catalogue:
    """The texts of the files, the first file's before those of later files. Fuzzy translations do not count.
    Raises BrokenCatalogue."""
    texts: dict[Key, Sequence[str]] = {}
    form: PluralRule = english
    folders: set[str] = set()
    for number, file in enumerate(files):
        found = parsed(file, lang)
        form = form if number else _plural_rule(found, file)
        for key, forms in _texts(found):
            texts.setdefault(key, forms)
        folders |= _folders(found)
    return Catalogue(texts, form, frozenset(folders), _name(files[0]) if files else "")


def parsed(file: Path, lang: str) -> Catalog:
    """The catalogue in a file. Raises BrokenCatalogue."""
    try:
        text = text_of(file)
        if wrong := _wrong_line(text):
            raise BrokenCatalogue(f"{_name(file)}, line {wrong}: neither a comment nor a text in quotes")
        return read_po(StringIO(text), locale=babel_name(lang), abort_invalid=True)
    except BrokenCatalogue:
        raise
    except PoFileError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise BrokenCatalogue(f"{_name(file)}{line}: {error}") from None
    except OSError as error:
        raise BrokenCatalogue(f"{_name(file)}: {error.strerror}") from None
    except Exception as error:  # a header that babel cannot read, an encoding that is none
        raise BrokenCatalogue(f"{_name(file)}: {error}") from None


def _plural_rule(catalogue: Catalog, file: Path) -> PluralRule:
    try:
        return gettext.c2py(catalogue.plural_expr)  # pyright: ignore
    except Exception as error:  # a rule that is none
        raise BrokenCatalogue(f"{_name(file)}: {error}") from None


# The lines of a PO file (GNU gettext, section 10). Babel takes others for texts without their last letter.
_LINE = re.compile(r'\s*(#.*|((msgctxt|msgid|msgid_plural|msgstr(\[\d+\])?)\s*)?"([^"\\]|\\.)*"\s*)?')


def _wrong_line(text: str) -> int:
    """The number of the first line that is none of a PO file; 0 without."""
    lines = enumerate(text.split("\n"), 1)
    return next((number for number, line in lines if not _LINE.fullmatch(line)), 0)


def _texts(catalogue: Iterable[Any]) -> Iterator[tuple[Key, Sequence[str]]]:
    for message in catalogue:  # babel's are untyped
        forms, ids = forms_of(message.string), forms_of(message.id)
        if message.id and all(forms) and not message.fuzzy:
            yield (message.context or "", ids[0]), forms


def _folders(catalogue: Iterable[Any]) -> set[str]:
    places = (place for message in catalogue for place, _ in message.locations)
    return {str(place).partition("/")[0] for place in places}


def forms_of(texts: str | Iterable[str] | None) -> tuple[str, ...]:
    """The forms of a text as Babel has it; an empty text where there is none."""
    return (texts,) if isinstance(texts, str) else tuple(texts or ("",))


def _name(file: Path) -> str:
    return "/".join(("templates", *file.parts[-4:]))
