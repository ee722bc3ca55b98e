"""The checks behind `waypost doctor` of the gateway, its keys and who issues its tokens."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from sqlalchemy.exc import SQLAlchemyError

from waypost import place
from waypost.environment import by_proxy
from waypost.finding import Finding
from waypost.gateway.tokens import accepted_tokens
from waypost.ledger import LedgerBehind, api_keys, checked, webhooks
from waypost.ledger.reach import LedgerUnreachable
from waypost.ledger.webhooks import Webhook
from waypost.settings import Settings

ANSWERS_WITHIN = 5.0


async def examine_gateway(settings: Settings) -> list[Finding]:
    """What is known of the gateway of a running `waypost up`, and of the issuer that is set: nothing where
    there is neither."""
    here = place.find(settings.home)
    findings = [] if here is None or here.gateway is None else [await _answers(here.gateway)]
    if findings:
        findings += await _keys(settings)
    findings += await _webhooks(settings)
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


async def _webhooks(settings: Settings) -> list[Finding]:
    if settings.database_url is None and not (settings.home / "ledger.db").exists():
        return []  # to look would make one
    try:
        async with checked(settings) as ledger:
            return webhooks_finding(await webhooks.every(ledger))
    except (SQLAlchemyError, OSError, LedgerBehind, LedgerUnreachable):
        return []


def webhooks_finding(found: Sequence[Webhook]) -> list[Finding]:
    """Those that are told in vain; their URLs may hold secrets, and are left out."""
    failing = [one for one in found if one.failing_since and not one.gone_at]
    if not failing:
        return []
    told = "; ".join(
        f"{one.id} of {one.client} since {one.failing_since:%Y-%m-%d %H:%M} UTC" for one in failing
    )
    advice = "see what they answer in the gateway's log; each event is told again for three days"
    return [Finding("webhooks", ok=False, found=f"told in vain: {told}", advice=advice)]


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
    proxied = by_proxy(tokens.issuer.url)
    if tokens.issuer.trouble:
        advice = "start that issuer, or mend WAYPOST_OIDC_ISSUER; API keys go on working"
        return [Finding("tokens", ok=False, found=f"{tokens.issuer.trouble}{proxied}", advice=advice)]
    return [Finding("tokens", ok=True, found=f"those of {tokens.issuer.url} are taken{proxied}")]
