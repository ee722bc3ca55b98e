"""Checks of the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from waypost.config.secret_key import known_key
from waypost.config.settings import Settings
from waypost.delivery.added_brands import all_brands
from waypost.deployments.doctor.brands import key_findings
from waypost.deployments.doctor.finding import Finding
from waypost.deployments.doctor.personal_data import personal_data_findings
from waypost.deployments.registry import registered
from waypost.ledger import Ledger, LedgerBehind, ledger_of
from waypost.ledger.database import tolerant
from waypost.ledger.database.trouble import trouble
from waypost.ledger.database.unreachable import LedgerUnreachable, OtherKey
from waypost.ledger.operations import stats
from waypost.ledger.operations.stats import Silent
from waypost.ledger.operations.write_check import write_as_a_post_does
from waypost.ledger.queue import suspects
from waypost.ledger.queue.holds import Hold, held_types
from waypost.ledger.queue.suspects import Suspect
from waypost.ledger.queue.waiting_lanes import Lane, waiting_lanes
from waypost.ledger.records import api_keys, installation, process_reports
from waypost.mail.masking import mask_in
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.plurals import counted

TAKEN_BACK = timedelta(seconds=30)  # how long a lease may stay lapsed while a worker runs
SILENT = timedelta(minutes=5)  # how long a run may hold a batch without beginning or ending an attempt
OVERDUE = timedelta(seconds=60)  # no dispatcher starts runs for notifications due for longer and not claimed


async def ledger_findings(settings: Settings) -> list[Finding]:
    try:
        key = known_key(settings)
        ledger = ledger_of(settings)
    except ValueError as error:
        return [Finding("ledger", ok=False, found=str(error), advice="correct WAYPOST_DATABASE_URL")]
    try:
        await ledger.check_schema()
        await write_as_a_post_does(ledger)
        same_key = key is None or await installation.is_key(ledger, key)
        open = await stats.open_counts(ledger)
        late = await stats.late_counts(ledger, now() - OVERDUE)
        held = await held_types(ledger)
        overdue = await _overdue(ledger)
        lost = await stats.lapsed(ledger, stats.renewed_before(ledger))
        silent = await stats.silent(ledger, now() - SILENT)
        suspected = await suspects.suspects(ledger)
        keys = (await api_keys.active_keys(ledger)).keys
        known = await all_brands(settings, ledger)
        down = await process_reports.read(ledger, process_reports.About.CIRCUITS)
        sealed = await personal_data_findings(ledger, settings)
    except LedgerUnreachable as error:
        return [Finding("ledger", ok=False, found=error.found, advice=error.advice)]
    except Exception as error:  # each driver has errors of its own
        told = str(error) if isinstance(error, LedgerBehind) else trouble(error)
        found, _, advice = told.partition(": ")
        return [Finding("ledger", ok=False, found=found, advice=advice)]
    finally:
        await ledger.close()
    kind = "PostgreSQL" if ledger.is_postgres else "SQLite"
    return [
        Finding("ledger", ok=True, found=f"{kind}, {open_in_words(open, late)}"),
        *_key(same_key),
        *sealed,
        *key_findings(keys, known),
        *_held(held),
        *_late(overdue),
        *_lost(lost),
        *_silent(silent),
        *_suspected(*suspected),
        *_down(down),
    ]


def open_in_words(open: Counter[State], late: Counter[State]) -> str:
    """`7 notifications open, 2 late; 3 of them deferred, 1 late`. late: those due for more than a minute."""
    if not open.total():
        return "no notification is open"
    told = f"{counted(open.total(), 'notification')} open, {late.total():,} late"
    deferred = open[State.DEFERRED]
    return f"{told}; {deferred:,} of them deferred, {late[State.DEFERRED]:,} late" if deferred else told


def _key(same: bool) -> list[Finding]:
    if same:
        return []
    found, _, advice = str(OtherKey()).partition(": ")
    return [Finding("secret key", ok=False, found=found, advice=advice)]


async def _overdue(ledger: Ledger) -> list[Lane]:
    """The lanes with notifications that are overdue, and of whose type no notification is claimed."""
    before = now() - OVERDUE
    late = [lane for lane in await waiting_lanes(ledger, registered()) if lane.due_at < before]
    return [lane for lane in late if not await stats.in_hand(ledger, lane.type)]


def _late(lanes: Sequence[Lane]) -> list[Finding]:
    if not lanes:
        return []
    since = "; ".join(f"{lane.type} since {lane.due_at:%Y-%m-%d %H:%M} UTC" for lane in lanes)
    found = f"no dispatcher starts runs for due notifications: {since}"
    advice = (
        "start `waypost up` or `waypost worker` (`waypost dispatch` for a pool of "
        "another type). If one runs, restart it: it may not know these types"
    )
    return [Finding("overdue", ok=False, found=found, advice=advice)]


def _lost(lost: Mapping[str, datetime]) -> list[Finding]:
    """lost: the owners that have not renewed their leases for half a lease or longer, and when the first
    lease of each ends."""
    expected_back = now() - TAKEN_BACK
    silent = {owner: at for owner, at in lost.items() if at >= expected_back}
    abandoned = {owner: at for owner, at in lost.items() if at < expected_back}
    return [*_silent_owners(silent), *_abandoned(abandoned)]


def _silent_owners(lost: Mapping[str, datetime]) -> list[Finding]:
    if not lost:
        return []
    told = "; ".join(f"{owner}, lease until {at:%H:%M:%S} UTC" for owner, at in sorted(lost.items()))
    found = f"held by a process that sends no heartbeat: {told}"
    advice = "any worker reclaims it after that time; start `waypost up` or `waypost worker` if none runs"
    return [Finding("lost work", ok=True, found=found, advice=advice)]


def _abandoned(lost: Mapping[str, datetime]) -> list[Finding]:
    if not lost:
        return []
    told = "; ".join(f"{owner} since {at:%Y-%m-%d %H:%M:%S} UTC" for owner, at in sorted(lost.items()))
    advice = "start `waypost up`, `waypost worker` or `waypost dispatch` with the files of these types"
    found = f"expired leases not reclaimed: {told}"
    return [Finding("lost work", ok=False, found=found, advice=advice)]


def _silent(batches: Sequence[Silent]) -> list[Finding]:
    if not batches:
        return []
    told = "; ".join(f"{one.type} batch {one.id} since {one.taken_at:%Y-%m-%d %H:%M} UTC" for one in batches)
    advice = (
        "see the run's log in Prefect. Either the type's code does not return, or a "
        "provider has a low rate. Fix the code, then restart the worker, which frees the "
        "batch"
    )
    found = f"running, but without an outcome for minutes: {told}"
    return [Finding("silent runs", ok=False, found=found, advice=advice)]


def _suspected(count: int, worst: Sequence[Suspect]) -> list[Finding]:
    if not count:
        return []
    told = "; ".join(f"{one.type} {one.id}: {one.reason or 'held by a run'}" for one in worst)
    more = f"; and {count - len(worst)} more" if count > len(worst) else ""
    advice = (
        "see `waypost explain ID` and the workers' logs. Fix the cause, or cancel the "
        "notification with `waypost cancel ID`"
    )
    return [Finding("suspects", ok=False, found=f"runs fail before they reach {told}{more}", advice=advice)]


def _held(held: Sequence[Hold]) -> list[Finding]:
    """The types that a person holds, and may have forgotten."""
    if not held:
        return []
    told = "; ".join(
        f"{one.type} since {one.since:%Y-%m-%d %H:%M} UTC ({one.reason or 'no reason given'})" for one in held
    )
    advice = "release a type with `waypost release TYPE`"
    return [Finding("held types", ok=True, found=told, advice=advice)]


def _down(reports: Sequence[process_reports.Report]) -> Iterator[Finding]:
    """The providers that do not work for the running workers, each as its first report says."""
    told: set[object] = set()
    for one in sorted(reports, key=lambda report: str(report.get("since"))):
        if (name := one.get("provider")) not in told:
            told.add(name)
            since = tolerant.moment(one.get("since"))
            began = f"{since:%Y-%m-%d %H:%M:%S} UTC" if isinstance(since, datetime) else "some time"
            found = mask_in(f"{name} does not work for the workers since {began}: {one.get('why')}")
            advice = "its mail waits in the ledger and goes out when the provider works again"
            yield Finding("outage", ok=True, found=found, advice=advice)
