"""Counts in words."""

from __future__ import annotations


def counted(count: int, thing: str, things: str = "") -> str:
    """`1 mail`, `1,204 mails`, `no mails`. things: the plural, where it is not made with an s."""
    number = f"{count:,}" if count else "no"
    return f"{number} {thing if count == 1 else things or f'{thing}s'}"
