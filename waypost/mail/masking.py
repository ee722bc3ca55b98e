"""Masks addresses for logs, lists and Prefect."""

from __future__ import annotations

import re

_MASKED = re.compile(r".?\*{3}.?")


def mask(address: str) -> str:
    """`address` as shown to people who do not need it: `p***t@northwind.example`, `+49***12`.
    A masked address stays as it is."""
    local, at, domain = address.rpartition("@")
    if not at:
        return f"{address[:3]}***{address[-2:]}" if len(address) > 6 else "***"
    local = local.strip('"')
    if _MASKED.fullmatch(local):
        return address
    shown = f"{local[0]}***{local[-1]}" if len(local) > 2 else "***"
    return f"{shown}@{domain}"


_ADDRESS = re.compile(r"(?:\"[^\s@<>\"]+\"|[^\s@<>\"'(),;:]+)@[^\s@<>\"'(),;:]+")


def mask_in(text: str) -> str:
    """`text` with every address masked: providers repeat addresses in their replies."""
    return _ADDRESS.sub(lambda found: mask(found.group()), text)
