"""Templates and catalogues of a test's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po


def mjml(content: str) -> str:
    """A page with one text."""
    column = f"<mj-column><mj-text>{content}</mj-text></mj-column>"
    return f"<mjml><mj-body><mj-section>{column}</mj-section></mj-body></mjml>"


def catalogue(folder: Path, lang: str, texts: Mapping[str | tuple[str, ...], str | tuple[str, ...]]) -> Path:
    """Write the catalogue of a language. texts: translations by text; a plural's are pairs and tuples."""
    made = Catalog(locale=lang.replace("-", "_"))
    for id, text in texts.items():
        made.add(id, text)
    path = folder / "_locales" / lang.replace("-", "_") / "LC_MESSAGES" / "messages.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as opened:
        write_po(opened, made)
    return path
