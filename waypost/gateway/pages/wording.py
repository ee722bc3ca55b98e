"""The pages in the recipient's language, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from babel import negotiate_locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from waypost.rendering.catalogues import (
    SOURCE_LANGUAGE,
    Catalogue,
    catalogue_files,
    catalogue_languages,
    english,
    read_catalogue,
)
from waypost.rendering.live_templates import with_parents

FOLDER = Path(__file__).parent / "html"


@cache
def languages() -> tuple[str, ...]:
    """Those that the pages are written in."""
    return (SOURCE_LANGUAGE, *catalogue_languages(FOLDER))


def language_for(locale: str) -> str:
    """The language of the pages for a recipient of this locale."""
    return next((lang for lang in with_parents(locale) if lang in languages()), SOURCE_LANGUAGE)


def language_accepted(header: str, default: str) -> str:
    """The language for an Accept-Language header (RFC 9110, section 12.5.4), in the order in which browsers
    write it."""
    wanted = [part.partition(";")[0].strip() for part in header[:200].split(",")]
    found = negotiate_locale([one for one in wanted if one], languages(), sep="-")
    return found or language_for(default)


def written(page: str, lang: str, values: Mapping[str, Any]) -> str:
    """A page as HTML. page: its template's name without `.html`."""
    return environment(lang).get_template(f"{page}.html").render(lang=lang, **values)


@cache
def environment(lang: str) -> Environment:
    """The templates of a language."""
    catalogue = read_catalogue(catalogue_files(FOLDER, lang), lang) if lang != SOURCE_LANGUAGE else NOTHING
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )

    def translated(text: str) -> str:
        return catalogue.texts.get(("", text), (text,))[0]

    def plural(one: str, many: str, amount: int) -> str:
        return catalogue.texts.get(("", one), (one, many))[catalogue.form(amount)]

    made.install_gettext_callables(translated, plural, newstyle=True)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    return made


NOTHING = Catalogue({}, english)
