"""Checks of providers, templates and signing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from waypost.config.instance import find
from waypost.config.mail import dkim_signers
from waypost.config.settings import Settings
from waypost.delivery.added_brands import AddedBrands
from waypost.delivery.added_providers import AddedProviders
from waypost.delivery.channel_factory import providers
from waypost.deployments.doctor.brands import brand_findings
from waypost.deployments.doctor.channel import channel_finding
from waypost.deployments.doctor.finding import Finding
from waypost.deployments.doctor.type_faults import route_faults, template_faults, template_origins
from waypost.deployments.prefect_api import ANSWERS_WITHIN, WrongApi, check
from waypost.deployments.registry import registered
from waypost.mail.dkim_keys import KeyUnusable
from waypost.policy.route_steps import steps
from waypost.tasks import blocks


def template_findings(settings: Settings) -> Finding:
    own, *_ = settings.template_folders
    if faults := template_faults(settings):
        advice = f"correct these files (templates are in {own})"
        return Finding("templates", ok=False, found="; ".join(faults), advice=advice)
    return Finding("templates", ok=True, found="; ".join((str(own), *template_origins(settings))))


def signing_finding(settings: Settings) -> Finding:
    """Whether the keys that sign mails can be used, and the DNS names for their public halves."""
    try:
        found = dkim_signers(settings)
    except KeyUnusable as error:
        advice = "correct this setting; `waypost docs deliverability` shows how to create a key"
        return Finding("signing", ok=False, found=str(error), advice=advice)
    if not found:
        advice = (
            "set WAYPOST_DKIM_KEY, unless your provider signs for you; "
            "`waypost docs deliverability` shows how"
        )
        return Finding("signing", ok=True, found="mails are not signed", advice=advice)
    names = ", ".join(f"{one.selector}._domainkey.{one.domain} ({one.algorithm})" for one in found)
    return Finding("signing", ok=True, found=names)


async def provider_findings(settings: Settings) -> list[Finding]:
    try:
        available = providers(settings)
    except ValueError as error:
        advice = "correct this setting; `waypost docs providers` shows its form"
        return [Finding("providers", ok=False, found=str(error), advice=advice)]
    added = AddedProviders(settings, {channel.name for channel in available})
    brands = AddedBrands(settings)
    findings = await _blocks(added, brands)
    available += added.channels
    for channel in available:
        findings.append(_in_development(await channel_finding(channel), settings))
    if faults := route_faults(registered().values(), available):
        advice = "correct the route, or add such a provider to WAYPOST_PROVIDERS"
        findings.append(Finding("routes", ok=False, found="; ".join(faults), advice=advice))
    stranded = [name for name, one in registered().items() if not steps(one.type.route, available)]
    if stranded:
        findings.append(_stranded(stranded, settings))
    return [*findings, *brand_findings(settings, available, brands.all)]


def _stranded(types: Sequence[str], settings: Settings) -> Finding:
    """The finding for types without a provider. A running `waypost up` may have providers of its own."""
    here = find(settings.home)
    if here and here.mailbox is None:
        found = f"this terminal's settings name no provider for {', '.join(types)}"
        advice = f"`waypost up` (pid {here.pid}) runs with settings of its own: put them into .env"
        return Finding("providers", ok=False, found=found, advice=advice)
    advice = "set WAYPOST_SMTP_URL or WAYPOST_PROVIDERS, or start `waypost up` for a development mailbox"
    return Finding("providers", ok=False, found=f"no provider for {', '.join(types)}", advice=advice)


def _in_development(finding: Finding, settings: Settings) -> Finding:
    """The finding, with the hint that the provider is the development mailbox, if it is."""
    here = find(settings.home)
    box = here.mailbox if here else None
    urls = {"smtp": settings.smtp_url, "apprise": settings.fallback_url}
    url = urls.get(finding.what)
    if box is None or url is None or url.get_secret_value() not in (box.smtp_url, box.texts_url):
        return finding
    return replace(finding, found=f"(the development mailbox) {finding.found}")


async def _blocks(added: AddedProviders, brands: AddedBrands) -> list[Finding]:
    """The faults of the providers and brands that Prefect keeps; adds the other ones to `added` and
    `brands`."""
    if not get_current_settings().api.url:
        return []
    try:
        async with asyncio.timeout(ANSWERS_WITHIN), get_client() as client:
            await check(client)
            faults = added.replace_with(await blocks.read(client))
            of_brands = brands.replace_with(await blocks.read_brands(client) or {})
    except (httpx.HTTPError, PrefectException, TimeoutError, WrongApi):
        return []  # Prefect's own check reports this
    except blocks.Unreadable as error:
        advice = "give PREFECT_API_KEY the permission to read blocks, or see the Prefect server's log"
        return [Finding("blocks", ok=False, found=str(error), advice=advice)]
    advice = "correct it in the Prefect UI, under Blocks; `waypost docs {}` describes the fields"
    return [
        *(
            Finding(name, ok=False, found=blocks.told(name, fault), advice=advice.format("providers"))
            for name, fault in faults.items()
        ),
        *(
            Finding(
                "brands",
                ok=False,
                found=blocks.told(name, fault, blocks.BRAND),
                advice=advice.format("brands"),
            )
            for name, fault in of_brands.items()
        ),
    ]
