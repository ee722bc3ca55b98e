"""Brings the catalogues of a templates folder up to date with the texts in its templates."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import jinja2
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import write_po

from waypost.rendering.catalogues import (
    FOLDER,
    BrokenCatalogue,
    babel_name,
    catalogue_files,
    catalogue_folder,
    forms_of,
    parsed,
    place_of,
)
from waypost.rendering.sandbox import environment_of
from waypost.rendering.template_files import TOO_DEEP, TemplateError, text_of
from waypost.rendering.translating import Key, UntranslatableText, messages_in

_KEPT_IN_THE_HEADER = ("Language:", "Plural-Forms:", "Content-Type:")


@dataclass(frozen=True, slots=True)
class Updated:
    """A catalogue after its update. lacking: texts whose translation does not count. fuzzy: those of them
    that have the translation of a similar text, to be confirmed. obsolete: texts that left."""

    file: Path
    texts: int
    lacking: int
    obsolete: int
    fuzzy: int = 0


def update(folder: Path, lang: str) -> Updated:
    """Write the catalogue of a language anew: all texts of the folder's templates, with the translations of
    its catalogues, which become one file. A translation of a similar text is kept as fuzzy; it counts once a
    person has confirmed it. Raises TemplateError for a template that cannot be read, and BrokenCatalogue."""
    files = catalogue_files(folder, lang)
    there = [parsed(file, lang) for file in files]
    before = Catalog(locale=babel_name(lang))
    for one in there:
        _add(before, one)
    catalogue = Catalog(locale=babel_name(lang), fuzzy=False, header_comment="")
    if there:  # the rule by which the forms are read; Babel's own may be another, with fewer forms
        catalogue.mime_headers = [("Plural-Forms", " ".join(there[0].plural_forms.split()))]
    obsolete = _merge(catalogue, before, template(folder))
    target = catalogue_folder(folder, lang) / "messages.po"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_written(catalogue))
        for file in files:
            if file != target:
                file.unlink()
    except (FileExistsError, NotADirectoryError):
        said = "cannot be written, as one of the folders in its path is a file; move that file away"
        raise BrokenCatalogue(f"{place_of(target)} {said}") from None
    except OSError as error:
        raise BrokenCatalogue(f"{place_of(target)} cannot be written: {error.strerror}") from None
    lacking = sum(not _counts(message) for message in _messages(catalogue))
    fuzzy = sum(message.fuzzy for message in _messages(catalogue))
    return Updated(target, len(catalogue), lacking, obsolete, fuzzy)


def _add(catalogue: Catalog, there: Catalog) -> None:
    """Add the texts of a file. A text that is already there gives way only to a better translation."""
    for message in _messages(there):
        message.context = message.context or None  # an empty context is none
        known = catalogue.get(message.id, message.context)
        if known is not None:
            if _rank(message) <= _rank(known):
                continue
            catalogue.delete(message.id, message.context)
        catalogue[message.id] = message


def _merge(catalogue: Catalog, before: Catalog, wanted: Catalog) -> int:
    """Add the wanted texts with the translations of before; how many texts of before are of no use. Babel's
    own update takes a similar text of any context, though that of the same context changed as well."""
    candidates = [message for message in _messages(before) if any(forms_of(message.string))]
    unused = {_key(message) for message in _messages(before)}
    for message in _messages(wanted):
        exact = before.get(message.id, message.context)
        old = exact or _similar(message, candidates)
        if old is not None:
            _take(message, old, exact is not None, catalogue.num_plurals)
            unused.discard(_key(old))
        catalogue[message.id] = message
    return len(unused)


def _similar(message: Message, candidates: Sequence[Message]) -> Message | None:
    """The message with the nearest text: of the same context, or else of any."""
    same = [one for one in candidates if one.context == message.context]
    for group in (same, candidates):
        texts = {_text(one).lower().strip(): one for one in group}
        for found in get_close_matches(_text(message).lower().strip(), texts, 1):
            return texts[found]
    return None


def _take(message: Message, old: Message, exact: bool, plurals: int) -> None:
    """Give a message the translation of another. It is fuzzy unless it fits."""
    forms = forms_of(old.string)
    if message.pluralizable:
        fits = len(forms) == plurals and old.pluralizable
        message.string = (*forms, *[""] * (plurals - len(forms)))
    else:
        fits = not old.pluralizable
        message.string = forms[0]
    if old.fuzzy or (any(forms) and not (exact and fits)):
        message.flags.add("fuzzy")
    message.user_comments = [*old.user_comments]


def _rank(message: Message) -> int:
    return 2 if _counts(message) else int(any(forms_of(message.string)))


def _counts(message: Message) -> bool:
    """Whether the translation is complete, and confirmed."""
    return all(forms_of(message.string)) and not message.fuzzy


def _messages(catalogue: Iterable[Message]) -> Iterator[Message]:
    """The messages without the header."""
    return (message for message in catalogue if message.id)


def _key(message: Message) -> Key:
    return message.context or "", _text(message)


def _text(message: Message) -> str:
    return forms_of(message.id)[0]


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
    written = io.BytesIO()
    write_po(written, catalogue, width=0, sort_output=True, include_lineno=False)
    head, blank, rest = written.getvalue().decode().partition("\n\n")
    kept = [line for line in head.split("\n") if line.startswith(("msgid", "msgstr")) or _is_kept(line)]
    return ("\n".join(kept) + blank + rest).encode()


def _is_kept(line: str) -> bool:
    return line.removeprefix('"').startswith(_KEPT_IN_THE_HEADER)
