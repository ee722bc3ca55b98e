"""The checks behind `waypost doctor` of the gateway, its API keys, its webhooks and its token issuer."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from sqlalchemy.exc import SQLAlchemyError

from waypost.config import instance
from waypost.config.environment import by_proxy
from waypost.config.settings import Settings
from waypost.deployments.doctor import gateway_readiness
from waypost.deployments.doctor.finding import Finding
from waypost.gateway.auth.access_tokens import accepted_tokens
from waypost.ledger import LedgerBehind, connect_checked
from waypost.ledger.database.unreachable import LedgerUnreachable
from waypost.ledger.records import api_keys, webhooks
from waypost.ledger.records.webhooks import Webhook
from waypost.net.no_answer import no_answer
from waypost.system.plurals import counted

SEE_UP = "check the output of `waypost up`, or restart it"


async def examine_gateway(settings: Settings) -> list[Finding]:
    """Findings on the gateway of a running `waypost up`, on failing webhooks and on the token issuer that is
    set; empty if there are none of these."""
    here = instance.find(settings.home)
    findings = [] if here is None or here.gateway is None else [await answering(here.gateway)]
    if findings:
        findings += await _keys(settings)
    findings += await _webhooks(settings)
    return findings + await _issuer(settings)


async def answering(url: str) -> Finding:
    try:
        answer = await gateway_readiness.ask(url)
    except httpx.HTTPError as error:
        found = f"{url} {no_answer(error, gateway_readiness.ANSWERS_WITHIN)}"
        return Finding("gateway", ok=False, found=found, advice=SEE_UP)
    return ready_finding(url, answer)


def ready_finding(url: str, answer: httpx.Response) -> Finding:
    """The finding for the response of the gateway at `url`, with the gateway's own advice if it gives any."""
    if answer.is_success:
        return Finding("gateway", ok=True, found=f"{url} is ready")
    happened, _, advice = gateway_readiness.detail(answer).partition(": ")
    found = f"{url} is not ready: {happened or f'HTTP {answer.status_code}'}"
    return Finding("gateway", ok=False, found=found, advice=advice or SEE_UP)


async def _keys(settings: Settings) -> list[Finding]:
    try:
        async with connect_checked(settings) as ledger:
            found = await api_keys.active_keys(ledger)
            return [keys_finding(len(found.keys)), *damaged_keys_finding(found.damaged)]
    except (SQLAlchemyError, OSError, LedgerBehind, LedgerUnreachable):
        return []  # the ledger's check reports this


async def _webhooks(settings: Settings) -> list[Finding]:
    try:
        async with connect_checked(settings) as ledger:
            return webhooks_finding(await webhooks.every(ledger))
    except (SQLAlchemyError, OSError, LedgerBehind, LedgerUnreachable):
        return []


def webhooks_finding(found: Sequence[Webhook]) -> list[Finding]:
    """The webhooks whose deliveries fail. Their URLs may hold secrets, and are left out."""
    failing = [one for one in found if one.failing_since and not one.gone_at]
    if not failing:
        return []
    told = "; ".join(
        f"webhook {one.id} (client {one.client}) since {one.failing_since:%Y-%m-%d %H:%M} UTC"
        for one in failing
    )
    advice = "check their responses in the gateway's log; each event is retried for three days"
    return [Finding("webhooks", ok=False, found=f"failing: {told}", advice=advice)]


def keys_finding(count: int) -> Finding:
    """How many API keys applications can use."""
    if count:
        return Finding("keys", ok=True, found=counted(count, "active API key"))
    advice = "create a key for an application with `waypost keys create my-app`"
    return Finding("keys", ok=True, found="no API key yet", advice=advice)


def damaged_keys_finding(ids: Sequence[str]) -> list[Finding]:
    """The API keys whose rows cannot be read."""
    if not ids:
        return []
    advice = "create new keys with `waypost keys create`, then delete these with `waypost keys revoke`"
    found = f"invalid, because their rows in the ledger cannot be read: {', '.join(ids)}"
    return [Finding("keys", ok=False, found=found, advice=advice)]


async def _issuer(settings: Settings) -> list[Finding]:
    tokens = accepted_tokens(settings)
    if tokens is None:
        return []
    await tokens.issuer.refresh()
    proxied = by_proxy(tokens.issuer.url)
    if tokens.issuer.trouble:
        advice = "start the issuer, or correct WAYPOST_OIDC_ISSUER; API keys still work"
        return [Finding("tokens", ok=False, found=f"{tokens.issuer.trouble}{proxied}", advice=advice)]
    return [Finding("tokens", ok=True, found=f"tokens of {tokens.issuer.url} are accepted{proxied}")]
