"""The checks behind `waypost doctor`: each looks at one thing and says what it found."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import get_current_settings

from deployments.registry import registered
from waypost.channels import ChannelUnavailable
from waypost.finding import Finding
from waypost.ledger import LedgerBehind, open_ledger, reading
from waypost.ledger.holds import Hold, held_types
from waypost.routes import providers, steps
from waypost.settings import Settings
from waypost.templating import TemplateError, Templates


async def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order in which trouble is best mended."""
    return [
        _settings(settings),
        *await _ledger(settings),
        *await _prefect(settings),
        _templates(settings),
        *await _providers(settings),
    ]


def _settings(settings: Settings) -> Finding:
    home = f"home is {settings.home}"
    if settings.database_url is not None and settings.secret_key is None:
        return Finding(
            "settings",
            ok=False,
            found=f"{home}; the ledger is shared but the key of codes and links is this machine's own",
            advice="set WAYPOST_SECRET_KEY to the same long random text wherever Waypost runs",
        )
    return Finding("settings", ok=True, found=home)


async def _ledger(settings: Settings) -> list[Finding]:
    if settings.database_url is None and not (settings.home / "ledger.db").exists():
        advice = "start `waypost up`, or make one with `waypost db upgrade`"
        return [Finding("ledger", ok=False, found="there is none yet", advice=advice)]
    try:
        ledger = open_ledger(settings.ledger_url)
    except ValueError as error:
        return [Finding("ledger", ok=False, found=str(error), advice="mend WAYPOST_DATABASE_URL")]
    try:
        await ledger.check_schema()
        waiting = await reading.open_count(ledger)
        held = await held_types(ledger)
    except LedgerBehind as error:
        return [Finding("ledger", ok=False, found=str(error), advice="run `waypost db upgrade`")]
    except Exception as error:  # each driver has errors of its own
        reason = (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0]
        advice = "start the database, or mend WAYPOST_DATABASE_URL; then `waypost db upgrade`"
        return [Finding("ledger", ok=False, found=reason, advice=advice)]
    finally:
        await ledger.close()
    kind = "PostgreSQL" if ledger.is_postgres else "SQLite"
    found = Finding("ledger", ok=True, found=f"{kind}, {waiting} notifications not yet ended")
    return [found, *_held(held)]


def _held(held: Sequence[Hold]) -> list[Finding]:
    """A person wanted it so, and may have forgotten."""
    if not held:
        return []
    told = "; ".join(
        f"{one.type} since {one.since:%Y-%m-%d %H:%M} UTC ({one.reason or 'no reason given'})" for one in held
    )
    advice = "`waypost release TYPE` lets one go out again"
    return [Finding("held types", ok=True, found=told, advice=advice)]


async def _prefect(settings: Settings) -> list[Finding]:
    api = get_current_settings().api.url
    if not api:
        advice = "start `waypost up`, or set PREFECT_API_URL to your server"
        return [Finding("prefect", ok=False, found="no Prefect API is set", advice=advice)]
    try:
        async with get_client() as client:
            await client.read_work_pools(limit=1)
            found = Finding("prefect", ok=True, found=api)
            return [found, await _deployments(client), await _worker(client, settings.work_pool)]
    except (httpx.HTTPError, PrefectException) as error:
        advice = "start `waypost up`, or set PREFECT_API_URL to a server that is up"
        found = f"{api} does not answer ({type(error).__name__})"
        return [Finding("prefect", ok=False, found=found, advice=advice)]


async def _deployments(client: PrefectClient) -> Finding:
    missing: list[str] = []
    for one in registered().values():
        try:
            await client.read_deployment_by_name(one.deployment)
        except ObjectNotFound:
            missing.append(one.deployment)
    if missing:
        found = f"not deployed: {', '.join(missing)}"
        return Finding("deployments", ok=False, found=found, advice="run `waypost deploy`")
    return Finding("deployments", ok=True, found=f"{len(registered())} types")


async def _worker(client: PrefectClient, pool: str) -> Finding:
    try:
        workers = await client.read_workers_for_work_pool(pool)
    except ObjectNotFound:
        advice = "run `waypost deploy`"
        return Finding("worker", ok=False, found=f"there is no work pool {pool}", advice=advice)
    online = [worker.name for worker in workers if worker.status == "ONLINE"]
    if not online:
        advice = "start `waypost worker` (or `waypost up`)"
        return Finding("worker", ok=False, found=f"none takes runs from {pool}", advice=advice)
    return Finding("worker", ok=True, found=", ".join(online))


def _templates(settings: Settings) -> Finding:
    templates = Templates(settings.templates, settings.default_locale)
    broken: list[str] = []
    for name in registered():
        try:
            templates.find(name, settings.default_locale)
        except TemplateError as error:
            broken.append(str(error))
    if broken:
        advice = f"mend them under {settings.templates}"
        return Finding("templates", ok=False, found="; ".join(broken), advice=advice)
    return Finding("templates", ok=True, found=f"{settings.templates}")


async def _providers(settings: Settings) -> list[Finding]:
    try:
        available = providers(settings)
    except ValueError as error:
        advice = "mend that setting; docs/settings.md shows its form"
        return [Finding("providers", ok=False, found=str(error), advice=advice)]
    findings: list[Finding] = []
    for channel in available:
        try:
            await channel.open()
            findings.append(Finding(channel.name, ok=True, found="takes messages"))
        except ChannelUnavailable as error:
            advice = "start that server, or mend its URL"
            findings.append(Finding(channel.name, ok=False, found=error.reason, advice=advice))
        finally:
            await channel.close()
    stranded = [name for name, one in registered().items() if not steps(one.type.route, available)]
    if stranded:
        advice = "set WAYPOST_SMTP_URL, or start `waypost up` for a development mailbox"
        found = f"no provider for {', '.join(stranded)}"
        findings.append(Finding("providers", ok=False, found=found, advice=advice))
    return findings
