"""Untrusted words in Prefect's markdown: shown letter for letter, in a table too."""

from __future__ import annotations


def as_code(text: str) -> str:
    """`text` as code in a line of markdown or a cell of a table: no link, no picture and no markup is made of
    a provider's words."""
    line = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    return f"`{line}`" if line else ""
