"""The templates of every type: found by type and locale, loaded on first use, and again when they change."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import jinja2
from babel import Locale, UnknownLocaleError

from waypost.model.notification_type import NotificationType
from waypost.rendering.catalogues import (
    FOLDER,
    SOURCE_LANGUAGE,
    BrokenCatalogue,
    Catalogue,
    Key,
    catalogue_files,
    catalogue_languages,
    read_catalogue,
)
from waypost.rendering.layouts import Flat
from waypost.rendering.sandbox import TEXT, environment_of
from waypost.rendering.template_files import (
    PARTS,
    Stamp,
    TemplateError,
    TemplateFiles,
    readable,
    stamp,
    stamps,
)
from waypost.rendering.template_names import Known, known, unknown_in_set
from waypost.rendering.template_set import TemplateSet, compiled
from waypost.rendering.translating import Translation, messages_in

logger = logging.getLogger("waypost.templates")
LOOKS_EVERY = 1.0  # seconds between looks whether files have changed
SCRIPT = 4  # letters of a script's subtag (RFC 5646, 2.2.3)
SHOWN = 3  # texts without a translation in a line of the log


@dataclass(slots=True)
class _Loaded:
    """What is in use of a type. broken: by language, why its catalogues cannot be read. files: what it was
    made of, with their stamps then. refused: whether a change is not in use. failed: the languages that have
    a fault since, and are not in use."""

    languages: Set[str]
    broken: Mapping[str, str]
    files: dict[Path, Stamp]
    sets: dict[str, TemplateSet] = field(default_factory=dict[str, TemplateSet])
    looked: float = 0.0
    refused: bool = False
    failed: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class Scarce:
    """A language in which a type is not sent. translated: how many of its `texts` are. meant: whether the
    catalogue names the type, so that somebody means to send it in this language; else the texts are those of
    other types."""

    lang: str
    translated: int
    texts: int
    meant: bool


class Templates:
    """Templates in the folders of TemplateFiles, with the catalogues of the folders. Each set is compiled on
    first use, and again once its files have changed. A change that does not compile, or uses a name that its
    type does not have, leaves all sets of the type in use, and `faults` tells it."""

    def __init__(self, folders: Path | Sequence[Path], default_locale: str = SOURCE_LANGUAGE) -> None:
        self.files = TemplateFiles((folders,) if isinstance(folders, Path) else folders)
        self.faults: dict[str, str] = {}  # by type, why a changed template is not in use
        self._default_locale = default_locale
        self._names: dict[str, Known] = {}
        self._types: dict[str, _Loaded] = {}
        self._lines: dict[str, jinja2.Template] = {}
        self._warned: Set[str] = frozenset()  # of these broken catalogues

    def declare(self, type: NotificationType) -> None:
        """Changed templates of the type may only use its names from now on. A process that is older than the
        type's file has the names of before."""
        self._names[type.name] = known(type)

    def find(self, type: str, locale: str) -> TemplateSet:
        """The set of `type` in the nearest available language: pt-BR, then pt, then the default. While the
        changed files have a fault, only sets in use are available, if there are any. A language with a fault
        is left out as well while another is in use; if there is no other of those tried, any is taken.

        Raises TemplateError naming the type and the languages tried.
        """
        loaded = self._type(type)
        tried = chain(locale, self._default_locale)
        kept = loaded.refused and not loaded.sets.keys().isdisjoint(tried)
        for lang in tried:
            if lang not in loaded.sets and lang in loaded.languages and not kept:
                self._use_first(type, lang, loaded)
            if lang in loaded.sets:
                return loaded.sets[lang]
        if loaded.sets and (loaded.refused or loaded.failed):
            return next(iter(loaded.sets.values()))
        raise TemplateError(f"no templates for {type} in {', '.join(tried)}: add templates/{type}/")

    def load(self, type: str, lang: str) -> TemplateSet:
        """The set of one language, whatever else is in use. Raises TemplateError and BrokenCatalogue."""
        loaded = self._type(type)
        return loaded.sets[lang] if lang in loaded.sets else self._load(type, lang, loaded)

    def languages(self, type: str) -> list[str]:
        """The languages in which `type` can be sent: those with parts of their own, and those whose
        catalogues have most of the type's own texts."""
        return sorted(self._type(type).languages)

    def scarcely_translated(self, type: str) -> list[Scarce]:
        """The languages in which `type` is not sent although their catalogues name it, or have some of its
        texts: its mails would mix them with English."""
        own = self._own_texts(type)
        others = {*self._catalogue_languages()} - self._type(type).languages - self._broken().keys()
        found = [
            Scarce(lang, self._translated(own, lang), len(own), type in self._catalogue(lang).folders)
            for lang in sorted(others)
        ]
        return [one for one in found if one.translated or (one.meant and not self._is_sent(type, one.lang))]

    def _is_sent(self, type: str, lang: str) -> bool:
        """Whether `type` is sent in a language of which `lang` is a kind: a country may change no text."""
        return not self._type(type).languages.isdisjoint(with_parents(lang)[1:])

    def parts(self, type: str, lang: str) -> dict[str, Flat]:
        """The parts of a type in a language, by name, with layouts and includes in place. Raises
        TemplateError."""
        return {part: self.files.flat(self._part(type, lang, part)) for part in PARTS}

    def translation(self, lang: str) -> Translation:
        """The catalogues for a language, the nearest first. Raises BrokenCatalogue."""
        if lang == SOURCE_LANGUAGE:
            return Translation()
        found = map(self._catalogue, with_parents(lang))
        return Translation([one for one in found if one.texts])

    def broken_catalogues(self) -> list[str]:
        """A sentence for each language whose catalogues cannot be read, with file and line."""
        return [
            f"{why}; until it is corrected, a worker that starts sends nothing in {lang}"
            for lang, why in self._broken().items()
        ]

    def line(self, source: str) -> jinja2.Template:
        """A template of one line, from a type's declaration. Raises TemplateError."""
        if source not in self._lines:
            try:
                self._lines[source] = TEXT.from_string(source)
            except jinja2.TemplateSyntaxError as error:
                raise TemplateError(f"{error.message} (in a template of the type's declaration)") from None
        return self._lines[source]

    def _type(self, type: str) -> _Loaded:
        loaded = self._types.get(type)
        if loaded is None:
            loaded = self._types[type] = self._begin(type)
            self._warn_of_broken({*loaded.broken.values()})
        elif time.monotonic() - loaded.looked >= LOOKS_EVERY:
            loaded.looked = time.monotonic()
            if any(stamp(path) != before for path, before in loaded.files.items()):
                loaded = self._types[type] = self._again(type, loaded)
        return loaded

    def _begin(self, type: str) -> _Loaded:
        files = self._around(type)  # before anything is read, so that no change is missed
        broken = self._broken()
        return _Loaded(self._languages(type, broken), broken, files, looked=time.monotonic())

    def _again(self, type: str, before: _Loaded) -> _Loaded:
        """The type with its changed files, in the languages that were in use; `before` if they have a
        fault."""
        loaded = before
        try:
            loaded = self._begin(type)
            self._load_again(type, before, loaded)
        except (TemplateError, BrokenCatalogue) as error:
            self._refuse(type, error)
            before.files = stamps(before.files) | (self._around(type) if loaded is before else loaded.files)
            before.languages -= loaded.broken.keys() - before.sets.keys()
            before.refused, before.failed = True, set()
            return before
        self._warn_of_broken({*loaded.broken.values()})
        self.faults.pop(type, None)
        logger.info("the templates of %s have changed and are in use", type)
        return loaded

    def _use_first(self, type: str, lang: str, loaded: _Loaded) -> None:
        """Load a language for its first use. One with a fault fails while another is in use, and is tried
        again once a file has changed. Raises TemplateError and BrokenCatalogue if none is in use."""
        if lang in loaded.failed:
            return
        try:
            found = self._load(type, lang, loaded)
            for other in [*loaded.sets.values()][:1]:
                self._check_names(type, other, found)
        except (TemplateError, BrokenCatalogue) as error:
            if not loaded.sets:
                raise
            self._refuse(type, error)
            loaded.failed.add(lang)
        else:
            loaded.sets[lang] = found

    def _refuse(self, type: str, error: Exception) -> None:
        self.faults[type] = str(error)
        logger.warning("the changed templates of %s are not in use: %s", type, error)

    def _load_again(self, type: str, before: _Loaded, loaded: _Loaded) -> None:
        """Raises TemplateError and BrokenCatalogue for a fault that the sets in use do not have."""
        if before.sets and not loaded.languages:
            raise TemplateError(f"templates/{type}/ has no templates")
        for lang, found in before.sets.items():
            if lang in loaded.broken:
                raise BrokenCatalogue(loaded.broken[lang])
            if lang in loaded.languages:
                loaded.sets[lang] = self._load(type, lang, loaded)
                self._check_names(type, found, loaded.sets[lang])

    def _check_names(self, type: str, before: TemplateSet, changed: TemplateSet) -> None:
        names = self._names.get(type)
        if names is None:
            return
        there = {one.name for one in unknown_in_set(before, names)}
        for one in unknown_in_set(changed, names):
            if one.name not in there:
                stop = "" if one.said.endswith("?") else "."
                raise TemplateError(
                    f"{one.said}{stop} If you have just added this fact, restart this process"
                )

    def _load(self, type: str, lang: str, loaded: _Loaded) -> TemplateSet:
        try:
            parts = self.parts(type, lang)
        except TemplateError as error:
            loaded.files = {**error.tried} | loaded.files
            raise
        names = {name for flat in parts.values() for name in flat.files}
        used = stamps(path for name in names for path in self.files.candidates(name))
        loaded.files = used | loaded.files  # a file that another language was made of keeps its stamp
        translation = self.translation(lang)
        found = compiled(self.files, lang, _direction(lang), parts, translation)
        if translation.missing and lang.partition("-")[0] != SOURCE_LANGUAGE:
            _warn_of_missing(type, lang, [text for _, text in translation.missing])
        return found

    def _part(self, type: str, lang: str, part: str) -> str:
        name = self.files.part(type, with_parents(lang), part)
        if name is None:
            where = f"{type}/{lang}" if lang in self.files.own_languages(type) else type
            why = self.files.why_missing(f"{where}/{part}")
            raise TemplateError(f"templates/{where}/{part}: {why}")
        return name

    def _languages(self, type: str, broken: Mapping[str, str]) -> set[str]:
        found = set(self.files.own_languages(type))
        if self.files.part(type, (), "subject.txt") is None:
            return found
        own = self._own_texts(type)
        for lang in self._catalogue_languages():
            if lang not in broken and (not own or 2 * self._translated(own, lang) > len(own)):
                found.add(lang)
        return {SOURCE_LANGUAGE, *(found - broken.keys())}

    def _translated(self, own: Set[Key], lang: str) -> int:
        """How many of a type's own texts have a translation; 0 if all of them are those of a language that it
        is a kind of."""
        texts = [self._catalogue(one).texts for one in with_parents(lang)]
        return bool(own & texts[0].keys()) * sum(any(key in one for one in texts) for key in own)

    def _broken(self) -> dict[str, str]:
        """By language, why its catalogues cannot be read, or those of a language that it is a kind of."""
        broken: dict[str, str] = {}
        for lang in self._catalogue_languages():
            try:
                self.translation(lang)
            except BrokenCatalogue as error:
                broken[lang] = str(error)
        return broken

    def _warn_of_broken(self, faults: Set[str]) -> None:
        """Once for all types: catalogues are theirs together."""
        for fault in sorted(faults - self._warned):
            logger.warning("a catalogue is broken, and mails in its language go out in another: %s", fault)
        self._warned = faults

    def _catalogue_languages(self) -> list[str]:
        with readable(f"{FOLDER}/"):
            return sorted({lang for folder in self.files.folders for lang in catalogue_languages(folder)})

    def _own_texts(self, type: str) -> set[Key]:
        """The keys of the texts in the type's own files, without those of its layouts."""
        found: set[Key] = set()
        for part in PARTS:
            name = self.files.part(type, (), part)
            if name is None:
                continue
            try:
                tree = environment_of(name).parse(self.files.read(name))
                found |= {key for key, _, _ in messages_in(tree)}
            except (jinja2.TemplateSyntaxError, ValueError, OSError, RecursionError):
                continue  # named when the part is loaded
        return found

    def _catalogue(self, lang: str) -> Catalogue:
        files = [file for folder in self.files.folders for file in catalogue_files(folder, lang)]
        return _read_once(tuple((file, stamp(file)) for file in files), lang)

    def _around(self, type: str) -> dict[Path, Stamp]:
        """The folders of a type and of the catalogues, and what is in them, with their stamps."""
        folders = [path for folder in self.files.folders for path in (folder / type, folder / FOLDER)]
        return stamps((*folders, *(path for folder in folders for path in _within(folder))))


def _within(folder: Path) -> list[Path]:
    """What is in a folder; nothing if that cannot be read."""
    try:
        return [*folder.glob("**/*")]
    except OSError:
        return []


def _warn_of_missing(type: str, lang: str, texts: Sequence[str]) -> None:
    shown = ", ".join(repr(text[:60]) for text in texts[:SHOWN])
    logger.warning("%s has %d texts without a translation in %s: %s", type, len(texts), lang, shown)


@lru_cache(64)
def _read_once(files: tuple[tuple[Path, Stamp], ...], lang: str) -> Catalogue:
    return read_catalogue([file for file, _ in files], lang)


@lru_cache(1000)
def with_parents(lang: str) -> tuple[str, ...]:
    """The language and those that it is a kind of: pt-BR, pt (RFC 4647, 3.4). A script is also left out:
    zh-Hans-CN, zh-CN, zh-Hans, zh."""
    subtags = lang.split("-")
    kinds = [subtags[:end] for end in range(len(subtags), 0, -1)]
    if len(subtags) > 2 and len(subtags[1]) == SCRIPT:
        kinds.insert(1, [subtags[0], *subtags[2:]])
    return tuple("-".join(kind) for kind in kinds)


def _direction(lang: str) -> str:
    """The direction of a language's writing: ltr or rtl."""
    try:
        order = Locale.parse(lang, sep="-").character_order
    except (UnknownLocaleError, ValueError):
        return "ltr"
    return "rtl" if order == "right-to-left" else "ltr"


@lru_cache(1000)
def chain(locale: str, default: str) -> tuple[str, ...]:
    """The languages to try for `locale`, nearest first, without repeats."""
    return tuple(dict.fromkeys((*with_parents(locale), *with_parents(default), SOURCE_LANGUAGE)))
