"""The checks behind `waypost doctor`: each looks at one thing and says what it found."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import get_current_settings

from deployments import presence, registry
from deployments.api import ANSWERS_WITHIN, WrongApi, api_url, check
from deployments.attendance import dispatcher_finding, worker_finding, written_at
from deployments.channel_checkup import channel_finding
from deployments.gateway_checkup import examine_gateway
from deployments.pauses import lane_findings, stopped
from deployments.registry import Registered, registered
from deployments.type_checkup import route_faults, template_faults
from deployments.worker import ResidentWorker
from tasks import blocks
from waypost.beside import Beside
from waypost.clock import now
from waypost.finding import Finding
from waypost.ledger import Ledger, LedgerBehind, claims, installation, open_ledger, reading, suspects
from waypost.ledger.claims import Lane
from waypost.ledger.holds import Hold, held_types
from waypost.ledger.installation import OtherKey
from waypost.ledger.reach import LedgerUnreachable
from waypost.ledger.suspects import Suspect
from waypost.ledger.trial import trouble, write_as_a_post_does
from waypost.mail.dkim_keys import KeyUnusable
from waypost.providers import providers
from waypost.routes import steps
from waypost.secret import known_key
from waypost.settings import Settings, unknown
from waypost.signing import dkim_signers

TAKEN_BACK = timedelta(seconds=30)  # how long a lapsed lease may stay so where a worker runs
OVERDUE = timedelta(seconds=60)  # what is due for longer, and in nobody's hands, nobody starts runs for


async def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order in which trouble is best mended."""
    return [
        _settings(settings),
        _types(),
        *await _ledger(settings),
        *await _prefect(settings),
        _templates(settings),
        signing_finding(settings),
        *await _providers(settings),
        *await examine_gateway(settings),
    ]


def _settings(settings: Settings) -> Finding:
    home = f"home is {settings.home}"
    if odd := unknown(os.environ):
        advice = "unset it, or write it as docs/settings.md does"
        return Finding("settings", ok=False, found=f"{home}; {'; '.join(odd)}", advice=advice)
    if settings.database_url is not None and settings.secret_key is None:
        return Finding(
            "settings",
            ok=False,
            found=f"{home}; the ledger is shared but the key of codes and links is this machine's own",
            advice="set WAYPOST_SECRET_KEY to the same long random text wherever Waypost runs",
        )
    return Finding("settings", ok=True, found=home)


def _types() -> Finding:
    faults = [*registry.broken(), *registry.unscheduled()]
    if faults:
        advice = "mend it, then `waypost up` or `waypost deploy`; where a worker runs the others go on"
        return Finding("types", ok=False, found="; ".join(faults), advice=advice)
    return Finding("types", ok=True, found=", ".join(sorted(registered())))


async def _ledger(settings: Settings) -> list[Finding]:
    if settings.database_url is None and not (settings.home / "ledger.db").exists():
        advice = "start `waypost up`, or make one with `waypost db upgrade`"
        return [Finding("ledger", ok=False, found="there is none yet", advice=advice)]
    try:
        key = known_key(settings)
        ledger = open_ledger(settings.ledger_url)
    except ValueError as error:
        return [Finding("ledger", ok=False, found=str(error), advice="mend WAYPOST_DATABASE_URL")]
    try:
        await ledger.check_schema()
        await write_as_a_post_does(ledger)
        same_key = key is None or await installation.is_key(ledger, key)
        waiting = await reading.open_count(ledger)
        held = await held_types(ledger)
        overdue = await _overdue(ledger)
        lost = await reading.lapsed(ledger, now() - TAKEN_BACK)
        suspected = await suspects.suspects(ledger)
    except LedgerUnreachable as error:
        return [Finding("ledger", ok=False, found=error.found, advice=error.advice)]
    except LedgerBehind as error:
        return [Finding("ledger", ok=False, found=str(error), advice="run `waypost db upgrade`")]
    except Exception as error:  # each driver has errors of its own
        found, _, advice = trouble(error).partition(": ")
        return [Finding("ledger", ok=False, found=found, advice=advice)]
    finally:
        await ledger.close()
    kind = "PostgreSQL" if ledger.is_postgres else "SQLite"
    found = Finding("ledger", ok=True, found=f"{kind}, {waiting} notifications not yet ended")
    return [found, *_key(same_key), *_held(held), *_late(overdue), *_lost(lost), *_suspected(*suspected)]


def _key(same: bool) -> list[Finding]:
    if same:
        return []
    found, _, advice = str(OtherKey()).partition(": ")
    return [Finding("secret key", ok=False, found=found, advice=advice)]


async def _overdue(ledger: Ledger) -> list[Lane]:
    """The lanes in which something is due for long and of whose type nobody has anything in hand."""
    before = now() - OVERDUE
    late = [lane for lane in await claims.lanes(ledger, registered()) if lane.due_at < before]
    return [lane for lane in late if not await reading.in_hand(ledger, lane.type)]


def _late(lanes: Sequence[Lane]) -> list[Finding]:
    if not lanes:
        return []
    since = "; ".join(f"{lane.type} since {lane.due_at:%Y-%m-%d %H:%M} UTC" for lane in lanes)
    found = f"due, and nobody starts a run for it: {since}"
    advice = (
        "start `waypost up` or `waypost worker` (`waypost dispatch` for a pool of another kind); one that "
        "runs already knows the types it was started with: start it again"
    )
    return [Finding("overdue", ok=False, found=found, advice=advice)]


def _lost(lost: Mapping[str, datetime]) -> list[Finding]:
    """lost: whose leases have lapsed, and when the first did."""
    if not lost:
        return []
    told = "; ".join(f"{owner} since {at:%Y-%m-%d %H:%M:%S} UTC" for owner, at in sorted(lost.items()))
    advice = (
        "start `waypost up`, `waypost worker` or `waypost dispatch`: each takes back the work of the types "
        "whose files it has"
    )
    found = f"in the hands of who gives no sign of life, and nobody takes it back: {told}"
    return [Finding("lost work", ok=False, found=found, advice=advice)]


def _suspected(count: int, worst: Sequence[Suspect]) -> list[Finding]:
    if not count:
        return []
    told = "; ".join(f"{one.type} {one.id}: {one.reason or 'in the hands of a run'}" for one in worst)
    more = f"; and {count - len(worst)} more" if count > len(worst) else ""
    advice = (
        "`waypost explain ID` and the workers' logs tell how its runs ended; correct what they name, or "
        "withdraw the notification with `waypost cancel ID`"
    )
    return [Finding("suspects", ok=False, found=f"runs end before they come to {told}{more}", advice=advice)]


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
    if not get_current_settings().api.url:
        advice = "start `waypost up`, or set PREFECT_API_URL to your server"
        return [Finding("prefect", ok=False, found="no Prefect API is set", advice=advice)]
    try:
        async with asyncio.timeout(ANSWERS_WITHIN), get_client() as client:
            await check(client)
            found = Finding("prefect", ok=True, found=api_url())
            deployed = await _deployments(client, settings.work_pool)
            return [found, deployed, *await _pool(client, settings.work_pool, settings.templates)]
    except WrongApi as error:
        found, _, advice = str(error).rpartition(": ")
        return [Finding("prefect", ok=False, found=found, advice=advice)]
    except (httpx.HTTPError, PrefectException, TimeoutError) as error:
        advice = "start `waypost up`, or set PREFECT_API_URL to a server that is up"
        found = f"{api_url()} does not answer ({type(error).__name__})"
        return [Finding("prefect", ok=False, found=found, advice=advice)]


async def _deployments(client: PrefectClient, work_pool: str) -> Finding:
    faults = [
        f"{one.deployment} {fault}"
        for one in registered().values()
        if (fault := deployment_fault(await _deployment(client, one), one, work_pool))
    ]
    if faults:
        found, advice = "; ".join(faults), "run `waypost deploy`"
        return Finding("deployments", ok=False, found=found, advice=advice)
    return Finding("deployments", ok=True, found=f"{len(registered())} types")


async def _deployment(client: PrefectClient, one: Registered) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(one.deployment)
    except ObjectNotFound:
        return None


def deployment_fault(found: DeploymentResponse | None, one: Registered, work_pool: str) -> str:
    """What is wrong with the deployment of a type; empty when nothing is."""
    if found is None:
        return "is not deployed"
    if found.work_pool_name is None:
        return "has lost its work pool, which was deleted"
    if found.work_pool_name != work_pool:
        return f"is of the work pool {found.work_pool_name}, not {work_pool}"
    wanted = registry.described(work_pool, one)
    same = all(getattr(found, name) == wanted[name] for name in ("entrypoint", "parameter_openapi_schema"))
    return "" if same else f"is older than {one.file}"


async def _pool(client: PrefectClient, name: str, templates: Path) -> list[Finding]:
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        found = f"there is no work pool {name}"
        return [Finding("worker", ok=False, found=found, advice="run `waypost deploy`")]
    workers = await client.read_workers_for_work_pool(name)
    written = written_at(templates)
    lanes = lane_findings(stopped(pool, await client.read_work_queues(work_pool_name=name)))
    if pool.type == ResidentWorker.type:
        return [*lanes, worker_finding(pool, workers, written)]
    return [
        *lanes,
        worker_finding(pool, workers, {}),  # it reads the types anew for each run
        dispatcher_finding(pool, await presence.seen(client, name), written),
    ]


def _templates(settings: Settings) -> Finding:
    if faults := template_faults(settings):
        advice = f"correct them under {settings.templates}, then start the workers again"
        return Finding("templates", ok=False, found="; ".join(faults), advice=advice)
    return Finding("templates", ok=True, found=f"{settings.templates}")


def signing_finding(settings: Settings) -> Finding:
    """Whether the keys that sign mails can be used, and the names their public halves belong under."""
    try:
        found = dkim_signers(settings)
    except KeyUnusable as error:
        advice = "mend that setting; docs/deliverability.md shows how a key is made"
        return Finding("signing", ok=False, found=str(error), advice=advice)
    if not found:
        return Finding("signing", ok=True, found="mails are not signed: WAYPOST_DKIM_KEY is not set")
    names = ", ".join(f"{one.selector}._domainkey.{one.domain} ({one.algorithm})" for one in found)
    return Finding("signing", ok=True, found=names)


async def _providers(settings: Settings) -> list[Finding]:
    try:
        available = providers(settings)
    except ValueError as error:
        advice = "mend that setting; docs/providers.md shows its form"
        return [Finding("providers", ok=False, found=str(error), advice=advice)]
    beside = Beside(settings, {channel.name for channel in available})
    findings = await _blocks(beside)
    available += beside.channels
    for channel in available:
        findings.append(await channel_finding(channel))
    if faults := route_faults(available):
        advice = "correct the route, or name such a provider in WAYPOST_PROVIDERS"
        findings.append(Finding("routes", ok=False, found="; ".join(faults), advice=advice))
    stranded = [name for name, one in registered().items() if not steps(one.type.route, available)]
    if stranded:
        advice = "set WAYPOST_SMTP_URL or WAYPOST_PROVIDERS, or start `waypost up` for a development mailbox"
        found = f"no provider for {', '.join(stranded)}"
        findings.append(Finding("providers", ok=False, found=found, advice=advice))
    return findings


async def _blocks(beside: Beside) -> list[Finding]:
    """What is wrong with the providers that Prefect keeps; the others are `beside`'s then."""
    if not get_current_settings().api.url:
        return []
    try:
        async with asyncio.timeout(ANSWERS_WITHIN), get_client() as client:
            await check(client)
            faults = beside.become(await blocks.read(client))
    except (httpx.HTTPError, PrefectException, TimeoutError, WrongApi):
        return []  # that Prefect does not answer, or another does, is a finding already
    except blocks.Unreadable as error:
        advice = "give PREFECT_API_KEY the right to read blocks, or see the Prefect server's log"
        return [Finding("blocks", ok=False, found=str(error), advice=advice)]
    advice = "mend it in the Prefect UI, under Blocks; docs/providers.md has its terms"
    return [
        Finding(name, ok=False, found=blocks.told(name, fault), advice=advice)
        for name, fault in faults.items()
    ]
