"""Reads the state of a running gateway from /readyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import httpx

ANSWERS_WITHIN = 5.0


async def ask(url: str) -> httpx.Response:
    """The response of the gateway at `url`. Raises httpx.HTTPError."""
    async with httpx.AsyncClient(timeout=ANSWERS_WITHIN) as client:
        return await client.get(f"{url}/readyz")


def detail(answer: httpx.Response) -> str:
    """What is wrong and what to do; empty if the response does not say."""
    said = _said(answer).get("detail")
    return said if isinstance(said, str) else ""


async def ledger_trouble(url: str) -> str:
    """Why the gateway at `url` cannot use its ledger; empty if it can, or does not say."""
    try:
        answer = await ask(url)
    except httpx.HTTPError:
        return ""
    return detail(answer) if _said(answer).get("ledger") is False else ""


def _said(answer: httpx.Response) -> Mapping[str, Any]:
    """The fields of the response; none if it is not an object, because another program listens there."""
    try:
        found: object = answer.json()
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
