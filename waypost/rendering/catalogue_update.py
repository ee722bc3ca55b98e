"""Brings the catalogues of a templates folder up to date with the texts in its templates."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

from waypost.rendering.catalogues import (
    FOLDER,
    babel_name,
    catalogue_files,
    catalogue_folder,
    forms_of,
    parsed,
)
from waypost.rendering.template_files import TOO_DEEP, TemplateError, text_of
from waypost.rendering.template_set import environment_of
from waypost.rendering.translating import Key, UntranslatableText, messages_in

_KEPT_IN_THE_HEADER = ("Language:", "Plural-Forms:", "Content-Type:")


@dataclass(frozen=True, slots=True)
class Updated:
    """A catalogue after its update. lacking: texts without a translation. obsolete: those that left."""

    file: Path
    texts: int
    lacking: int
    obsolete: int


def update(folder: Path, lang: str) -> Updated:
    """Write the catalogue of a language anew: all texts of the folder's templates, with the translations of
    its catalogues, which become one file. A translation of a similar text is kept as fuzzy; it counts once a
    person has confirmed it. Raises TemplateError for a template that cannot be read, and BrokenCatalogue."""
    files = catalogue_files(folder, lang)
    catalogue = Catalog(locale=babel_name(lang), fuzzy=False, header_comment="")
    for there in [parsed(file, lang) for file in files]:
        for message in there:
            if message.id and message.id not in catalogue:
                catalogue[message.id] = message
    catalogue.update(template(folder))
    obsolete = len(catalogue.obsolete)
    target = catalogue_folder(folder, lang) / "messages.po"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(_written(catalogue))
    for file in files:
        if file != target:
            file.unlink()
    lacking = sum(not all(forms_of(message.string)) or message.fuzzy for message in catalogue if message.id)
    return Updated(target, len(catalogue), lacking, obsolete)


def template(folder: Path) -> Catalog:
    """All texts of the folder's templates, with their files, without translations. Raises TemplateError."""
    found = Catalog(fuzzy=False, header_comment="")
    for (context, text), source, file in texts_in(folder):
        found.add(text if len(source) == 1 else tuple(source), locations=[(file, 1)], context=context or None)
    return found


def texts_in(folder: Path) -> Iterator[tuple[Key, Sequence[str], str]]:
    """Every text of the folder's templates, with its file. Raises TemplateError."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix not in (".mjml", ".txt") or name.startswith(f"{FOLDER}/"):
            continue
        try:
            tree = environment_of(name).parse(text_of(path))
            for key, source, _ in messages_in(tree):
                yield key, source, name
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"templates/{name}, line {error.lineno}: {error.message}") from None
        except UntranslatableText as error:
            raise TemplateError(f"templates/{name}, line {error.line}: {error}") from None
        except RecursionError:
            raise TemplateError(f"templates/{name}: {TOO_DEEP}") from None
        except (OSError, ValueError) as error:
            raise TemplateError(f"templates/{name}: {error}") from None


def _written(catalogue: Catalog) -> bytes:
    """The file: sorted, without the dates, names and line numbers that would change with every update."""
    catalogue.obsolete.clear()
    written = io.BytesIO()
    write_po(written, catalogue, width=0, sort_output=True, include_lineno=False)
    head, blank, rest = written.getvalue().decode().partition("\n\n")
    kept = [line for line in head.split("\n") if line.startswith(("msgid", "msgstr")) or _is_kept(line)]
    return ("\n".join(kept) + blank + rest).encode()


def _is_kept(line: str) -> bool:
    return line.removeprefix('"').startswith(_KEPT_IN_THE_HEADER)
