"""Checks of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from deployments.doctor.finding import Finding
from deployments.registry import registered
from waypost.config.secret_key import known_key
from waypost.config.settings import Settings
from waypost.ledger import Ledger, LedgerBehind, ledger_of
from waypost.ledger.database.trouble import trouble
from waypost.ledger.database.unreachable import LedgerUnreachable, OtherKey
from waypost.ledger.operations import stats
from waypost.ledger.operations.stats import Silent
from waypost.ledger.operations.write_check import write_as_a_post_does
from waypost.ledger.queue import claims, suspects
from waypost.ledger.queue.claims import Lane
from waypost.ledger.queue.holds import Hold, held_types
from waypost.ledger.queue.suspects import Suspect
from waypost.ledger.records import installation
from waypost.system.clock import now

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
        waiting = await stats.open_count(ledger)
        held = await held_types(ledger)
        overdue = await _overdue(ledger)
        lost = await stats.lapsed(ledger, stats.renewed_before(ledger))
        silent = await stats.silent(ledger, now() - SILENT)
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
    found = Finding(
        "ledger", ok=True, found=f"{kind}, {waiting} notification{'' if waiting == 1 else 's'} not yet ended"
    )
    return [
        found,
        *_key(same_key),
        *_held(held),
        *_late(overdue),
        *_lost(lost),
        *_silent(silent),
        *_suspected(*suspected),
    ]


def _key(same: bool) -> list[Finding]:
    if same:
        return []
    found, _, advice = str(OtherKey()).partition(": ")
    return [Finding("secret key", ok=False, found=found, advice=advice)]


async def _overdue(ledger: Ledger) -> list[Lane]:
    """The lanes with notifications that are overdue, and of whose type no notification is claimed."""
    before = now() - OVERDUE
    late = [lane for lane in await claims.lanes(ledger, registered()) if lane.due_at < before]
    return [lane for lane in late if not await stats.in_hand(ledger, lane.type)]


def _late(lanes: Sequence[Lane]) -> list[Finding]:
    if not lanes:
        return []
    since = "; ".join(f"{lane.type} since {lane.due_at:%Y-%m-%d %H:%M} UTC" for lane in lanes)
    found = f"due, and no dispatcher starts a run: {since}"
    advice = (
        "start `waypost up` or `waypost worker` (`waypost dispatch` for a pool of another kind); one that "
        "runs already knows the types it was started with: start it again"
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
    advice = (
        "start `waypost up`, `waypost worker` or `waypost dispatch`: each reclaims the work of the types "
        "whose files it has"
    )
    found = f"expired leases that no worker reclaims: {told}"
    return [Finding("lost work", ok=False, found=found, advice=advice)]


def _silent(batches: Sequence[Silent]) -> list[Finding]:
    if not batches:
        return []
    told = "; ".join(f"{one.type} batch {one.id} since {one.taken_at:%Y-%m-%d %H:%M} UTC" for one in batches)
    advice = (
        "see the run's log in Prefect: code of the type that does not return, or a provider with a low rate; "
        "where it is the code, correct it and start the worker again, which frees the batch"
    )
    found = f"a run lives and has written no outcome for minutes: {told}"
    return [Finding("silent runs", ok=False, found=found, advice=advice)]


def _suspected(count: int, worst: Sequence[Suspect]) -> list[Finding]:
    if not count:
        return []
    told = "; ".join(f"{one.type} {one.id}: {one.reason or 'held by a run'}" for one in worst)
    more = f"; and {count - len(worst)} more" if count > len(worst) else ""
    advice = (
        "`waypost explain ID` and the workers' logs tell how its runs ended; correct what they name, or "
        "withdraw the notification with `waypost cancel ID`"
    )
    return [Finding("suspects", ok=False, found=f"runs end before they come to {told}{more}", advice=advice)]


def _held(held: Sequence[Hold]) -> list[Finding]:
    """The types that a person holds, and may have forgotten."""
    if not held:
        return []
    told = "; ".join(
        f"{one.type} since {one.since:%Y-%m-%d %H:%M} UTC ({one.reason or 'no reason given'})" for one in held
    )
    advice = "`waypost release TYPE` lets one go out again"
    return [Finding("held types", ok=True, found=told, advice=advice)]
