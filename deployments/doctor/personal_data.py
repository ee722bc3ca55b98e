"""Checks that personal data in the ledger is encrypted, and with which keys."""

from __future__ import annotations

from collections.abc import Mapping

from waypost.config.data_keys import known_ring
from waypost.config.settings import Settings
from waypost.deployments.doctor.finding import Finding
from waypost.ledger import Ledger
from waypost.ledger.records import resealing
from waypost.ledger.records.resealing import IN_CLEAR
from waypost.system.key_ring import KeyRing
from waypost.system.plurals import counted

_NAME = "personal data"
_OFF = "set WAYPOST_SECRET_KEY or WAYPOST_DATA_KEYS to the same text wherever Waypost runs"


async def personal_data_findings(ledger: Ledger, settings: Settings) -> list[Finding]:
    ring = known_ring(settings)
    if ring.newest is None:
        return [_off(settings)]
    return list(_findings(ring, await resealing.counts(ledger)))


def _off(settings: Settings) -> Finding:
    if settings.database_url is not None:
        found = "not encrypted: other processes may share the ledger, and no setting has a key for all"
        return Finding(_NAME, ok=True, found=found, advice=_OFF)
    return Finding(_NAME, ok=True, found="encrypted from the first start: the key is made then")


def _findings(ring: KeyRing, counts: Mapping[str, int]) -> list[Finding]:
    """counts: rows that the newest key has not sealed, by key."""
    lost = {id: count for id, count in counts.items() if id != IN_CLEAR and id not in ring.ids}
    older = {id: count for id, count in counts.items() if id != IN_CLEAR and id in ring.ids}
    parts = [f"encrypted with the key {ring.newest}"]
    if clear := counts.get(IN_CLEAR, 0):
        parts.append(f"{counted(clear, 'row')} still in the clear")
    parts += [f"{counted(count, 'row')} still with {id}" for id, count in sorted(older.items())]
    found = [
        Finding(
            _NAME,
            ok=True,
            found="; ".join(parts),
            advice="workers encrypt them in the background; keep the older keys until then"
            if clear or older
            else "",
        )
    ]
    if lost:
        told = ", ".join(f"{id} ({counted(count, 'row')})" for id, count in sorted(lost.items()))
        advice = "add these keys to WAYPOST_DATA_KEYS, or set the WAYPOST_SECRET_KEY they derive from"
        found.append(Finding(_NAME, ok=False, found=f"keys are missing: {told}", advice=advice))
    return found
