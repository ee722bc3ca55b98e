"""The checks behind `waypost doctor` of the gateway, its keys and who issues its tokens."""

from __future__ import annotations

import httpx
from sqlalchemy.exc import SQLAlchemyError

from waypost import place
from waypost.finding import Finding
from waypost.gateway.tokens import accepted_tokens
from waypost.ledger import LedgerBehind, api_keys, checked
from waypost.ledger.reach import LedgerUnreachable
from waypost.settings import Settings

ANSWERS_WITHIN = 5.0


async def examine_gateway(settings: Settings) -> list[Finding]:
    """What is known of the gateway of a running `waypost up`, and of the issuer that is set: nothing where
    there is neither."""
    here = place.find(settings.home)
    findings = [] if here is None or here.gateway is None else [await _answers(here.gateway)]
    if findings:
        findings += await _keys(settings)
    return findings + await _issuer(settings)


async def _answers(url: str) -> Finding:
    advice = "see what `waypost up` says, or start it again"
    try:
        async with httpx.AsyncClient(timeout=ANSWERS_WITHIN) as client:
            answer = await client.get(f"{url}/readyz")
    except httpx.HTTPError as error:
        found = f"{url} does not answer ({type(error).__name__})"
        return Finding("gateway", ok=False, found=found, advice=advice)
    if answer.is_success:
        return Finding("gateway", ok=True, found=f"{url} is ready")
    return Finding("gateway", ok=False, found=f"{url} is not ready: {answer.text}", advice=advice)


async def _keys(settings: Settings) -> list[Finding]:
    try:
        async with checked(settings) as ledger:
            return [keys_finding(len(await api_keys.working(ledger)))]
    except (SQLAlchemyError, OSError, LedgerBehind, LedgerUnreachable):
        return []  # that is a finding of the ledger's already


def keys_finding(count: int) -> Finding:
    """Whether applications can come in."""
    if count:
        return Finding("keys", ok=True, found=f"{count} API key{'s work' if count > 1 else ' works'}")
    advice = "`waypost keys create my-app` makes one for an application"
    return Finding("keys", ok=True, found="no API key yet", advice=advice)


async def _issuer(settings: Settings) -> list[Finding]:
    tokens = accepted_tokens(settings)
    if tokens is None:
        return []
    await tokens.issuer.refresh()
    if tokens.issuer.trouble:
        advice = "start that issuer, or mend WAYPOST_OIDC_ISSUER; API keys go on working"
        return [Finding("tokens", ok=False, found=tokens.issuer.trouble, advice=advice)]
    return [Finding("tokens", ok=True, found=f"those of {tokens.issuer.url} are taken")]
