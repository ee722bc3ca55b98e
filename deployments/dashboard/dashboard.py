"""The dashboard of all processes on a ledger, written by the process that has the turn.

It reads the ledger every LOOK_SECONDS, and writes to Prefect only what has changed. Delivery does not wait
for it, and what Prefect refuses fails nothing.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from prefect.client.orchestration import PrefectClient

from waypost.delivery.provider_set import ProviderSet
from waypost.delivery.provider_state import OpenCircuit
from waypost.deployments import paused_lanes
from waypost.deployments.dashboard import failures, page
from waypost.deployments.dashboard.artifacts import InPlace
from waypost.deployments.dashboard.backlog_events import Announcements
from waypost.deployments.dashboard.situation import ProviderLine, Situation
from waypost.deployments.dashboard.traffic import DAY, HOUR, Traffic, floor
from waypost.deployments.dashboard.troubles import failures_key
from waypost.ledger import Ledger
from waypost.ledger.database import tolerant
from waypost.ledger.operations import overview
from waypost.ledger.operations.traffic import MINUTE
from waypost.ledger.queue import suspects
from waypost.ledger.queue.batches import owner
from waypost.ledger.queue.holds import held_types
from waypost.ledger.records import periodic_turns, process_reports
from waypost.ledger.records.process_reports import About
from waypost.model.notification_type import NotificationType
from waypost.policy.route_steps import steps
from waypost.system.clock import now

LOOK_SECONDS = 10.0
TURN = timedelta(seconds=30)  # three looks: then another process writes
WRITTEN_ANEW = timedelta(minutes=5)  # so that its time is not too old, and what a person deleted comes back
REPEATED = process_reports.LASTS / 2
WORK = "dashboard"

logger = logging.getLogger("waypost.dashboard")


Ask = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def _directly(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


class Dashboard:
    """providers, template_faults: of this process. types: those whose lanes are counted. work_pool: its name
    is the key of the artifact."""

    def __init__(
        self,
        ledger: Ledger,
        providers: ProviderSet,
        template_faults: Mapping[str, str],
        types: Mapping[str, NotificationType],
        client: PrefectClient,
        work_pool: str,
        ask: Ask = _directly,
    ) -> None:
        """ask: around each call of Prefect; what it raises tells Prefect's errors from the ledger's."""
        self._ask = ask
        self._ledger = ledger
        self._providers = providers
        self._template_faults = template_faults
        self._types = types
        self._client = client
        self._work_pool = work_pool
        self._traffic = Traffic()
        self._page = InPlace(client, artifact_key(work_pool), "markdown")
        self._failures = {name: InPlace(client, failures_key(name), "table") for name in types}
        self._announcements = Announcements(ledger)
        self._leads = False
        self._shown: tuple[str, str] | None = None
        self._written_at: datetime | None = None
        self._failures_at: datetime | None = None
        self._reported: dict[About, tuple[list[dict[str, Any]], datetime]] = {}

    async def look(self) -> None:
        """Report the circuits and template faults of this process; with the turn, show what has changed.
        Raises the errors of the ledger and of Prefect's client."""
        await self._report(About.CIRCUITS, [_as_json(circuit) for circuit in self._own_circuits()])
        faults = [{"type": type, "why": why} for type, why in self._template_faults.items()]
        await self._report(About.TEMPLATES, faults)
        note = await periodic_turns.take(self._ledger, WORK, owner(), TURN)
        if note is None:
            self._leads = False
            return
        if not self._leads:
            self._begin(note)
        seen = await self._situation()
        await self._announce(seen)
        await self._ask(lambda: self._show(seen))

    async def close(self) -> None:
        """Let another process have the turn. Never raises, and takes a second at most."""
        if self._leads:
            with suppress(Exception):
                async with asyncio.timeout(1):
                    await periodic_turns.leave(self._ledger, WORK, owner())

    def _begin(self, note: periodic_turns.Note) -> None:
        self._leads, self._written_at, self._failures_at = True, None, None
        for artifact in (self._page, *self._failures.values()):
            artifact.forget()
        self._announcements.resume(note)

    async def _report(self, about: About, mine: list[dict[str, Any]]) -> None:
        """Write the reports if they changed, and again before other processes take this one for dead."""
        known, at = self._reported.get(about, ([], now()))
        if mine != known or (mine and now() - at > REPEATED):
            await process_reports.write(self._ledger, about, owner(), mine)
            self._reported[about] = mine, now()

    def _own_circuits(self) -> Iterable[OpenCircuit]:
        states = (self._providers.state(one.name) for one in self._providers.channels)
        return (open for state in states for open in state.open_circuits())

    async def _situation(self) -> Situation:
        ledger, moment = self._ledger, now()
        await self._traffic.look(ledger, moment)
        last = await overview.last_failures(ledger, failures.EACH)
        _, suspected = await suspects.suspects(ledger)
        return Situation(
            now=moment,
            counted_from=self._traffic.counted_from or moment,
            hour=self._traffic.since(floor(moment) - HOUR + MINUTE),
            day=self._traffic.since(floor(moment) - DAY + MINUTE),
            waiting=await overview.waiting(ledger, self._types),
            failures={type: shown for type, some in last.items() if (shown := failures.recent(some, moment))},
            last_runs=await overview.last_runs(ledger),
            providers=list(self._provider_lines()),
            circuits=[_circuit(report) for report in await process_reports.read(ledger, About.CIRCUITS)],
            routes={name: self._first_providers(type) for name, type in self._types.items()},
            held=await held_types(ledger),
            stopped=await self._ask(lambda: paused_lanes.look(self._client, self._work_pool)),
            suspects=suspected,
            template_faults={
                str(report.get("type", "")): str(report.get("why", ""))
                for report in await process_reports.read(ledger, About.TEMPLATES)
            },
        )

    def _provider_lines(self) -> Iterable[ProviderLine]:
        for channel in self._providers.channels:
            state = self._providers.state(channel.name)
            rate = state.rate_limiter.per_second if state.rate_limiter else None
            kind = "any but email" if channel.kind == "*" else channel.kind
            yield ProviderLine(channel.name, kind, rate, state.throttle.slowed())

    def _first_providers(self, type: NotificationType) -> Sequence[str]:
        """The providers of the first kind of a type's route that has any."""
        route = steps(type.route, self._providers.channels)
        return [channel.name for kind, channel in route if kind == route[0][0]]

    async def _announce(self, seen: Situation) -> None:
        if (told := await self._announcements.announce(seen)) is not None:
            await periodic_turns.note(self._ledger, WORK, owner(), TURN, told)

    async def _show(self, seen: Situation) -> None:
        """Show the failures first: the page links to them. The page is shown also where that fails."""
        try:
            await self._show_failures(seen)
        finally:
            ids = {type: artifact.id for type, artifact in self._failures.items() if artifact.id}
            await self._show_page(replace(seen, failure_artifacts=ids))

    async def _show_page(self, seen: Situation) -> None:
        anew = self._written_at is None or seen.now - self._written_at > WRITTEN_ANEW
        shown = page.page(seen)
        if anew or shown != self._shown:
            text, line = shown
            await self._page.show(text + page.written(seen.now), line)
            self._shown, self._written_at = shown, seen.now

    async def _show_failures(self, seen: Situation) -> None:
        anew = self._failures_at is None or seen.now - self._failures_at > WRITTEN_ANEW
        for type, artifact in self._failures.items():
            if theirs := seen.failures.get(type, ()):
                table, told = failures.table(theirs, seen.now), failures.description(type, theirs)
                await artifact.show(table, told, anew=anew)
            else:
                await artifact.remove()
        if anew:
            self._failures_at = seen.now


def artifact_key(work_pool: str) -> str:
    """The work pool's name in the letters that Prefect allows: `waypost`. Installations that share a Prefect
    server have work pools of their own."""
    return re.sub(r"[^a-z0-9]+", "-", work_pool.lower()).strip("-") or "waypost"


def _as_json(circuit: OpenCircuit) -> dict[str, Any]:
    """`until` without the fraction, which differs by the moment it is computed."""
    until = circuit.until.replace(microsecond=0) if circuit.until else None
    return {**asdict(circuit), "until": until}


def _circuit(report: process_reports.Report) -> OpenCircuit:
    since, until = (tolerant.moment(report.get(name)) for name in ("since", "until"))
    return OpenCircuit(
        provider=str(report.get("provider", "")),
        client=str(report.get("client", "")),
        since=since if isinstance(since, datetime) else now(),
        until=until if isinstance(until, datetime) else None,
        why=str(report.get("why", "")),
    )
