"""Workers are killed with -9 while recipients unsubscribe, wait for their time and reach a cap: nothing is
lost, only what was in doubt comes twice, and nothing is sent against a choice."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from chaos.installation import installation
from chaos.servers import mail_sink
from support.requests import order

from waypost import Category
from waypost.ledger.operations.preference_change import Choosing, choose
from waypost.model.cadence import Cadence
from waypost.model.permission import Preference

pytestmark = pytest.mark.long
RECIPIENTS, EACH, CAP, KILLS = 90, 6, 3, 6
AT_ONCE, LATER, OFF = "now", "later", "off"  # how the recipients' ids begin
TERMS = {"transactional": {"optional": True, "at_most": {"count": CAP, "days": 1}}}
SETTINGS = {"WAYPOST_LEASE_SECONDS": "2", "WAYPOST_CATEGORIES": json.dumps(TERMS)}
ON_THE_WIRE = 1.0  # seconds for mails whose attempt had begun when their recipient turned them off


def kind_of(number: int) -> str:
    return (AT_ONCE, LATER, OFF)[number % 3]


def orders():
    for number in range(RECIPIENTS * EACH):
        id = f"{kind_of(number % RECIPIENTS)}-{number % RECIPIENTS}"
        yield order(f"c-{number}", id=id, email=f"{id}@a.example")


async def all_choose(site, kind: str, cadence: Cadence) -> None:
    ledger = site.ledger()
    chosen = {Category.TRANSACTIONAL: Preference(cadence)}
    types = {Category.TRANSACTIONAL: ["order-confirmation"]}
    for number in range(RECIPIENTS):
        if kind_of(number) == kind:
            await choose(ledger, Choosing("", f"{kind}-{number}", chosen, "api"), types)
    await ledger.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_is_sent_against_a_choice_and_nothing_is_lost(prefect, cluster, tmp_path, capsys, database):
    seed = random.randrange(10**9)
    chance = random.Random(seed)
    url = cluster.database() if database == "postgresql" else None
    with (
        mail_sink(tmp_path, 0.05) as sink,
        installation(tmp_path / "home", prefect, sink, url, connections=2, settings=SETTINGS) as site,
    ):
        working = [site.worker().ready() for _ in range(2)]
        due = (datetime.now(UTC) + timedelta(seconds=75)).replace(second=0, microsecond=0)
        asyncio.run(all_choose(site, LATER, Cadence.parse(f"daily at {due:%H:%M}")))
        assert site.accept("order-confirmation", orders()) == RECIPIENTS * EACH
        off = None
        for number in range(KILLS):
            time.sleep(chance.uniform(1, 4))
            if number == 1:
                asyncio.run(all_choose(site, OFF, Cadence.parse("never")))
                off = time.time()
            victim = working.pop(chance.randrange(2))
            victim.kill()
            working.append(site.worker().ready())
        site.until_ended(240)
        rows = site.query("SELECT id, recipient_key, state, in_doubt, reason FROM notifications")
        notes = sink.notes()
    copies = Counter(id for _, _, id in notes)
    found = {row[0].hex if hasattr(row[0], "hex") else str(row[0]).replace("-", ""): row[1:] for row in rows}
    states = Counter((key.partition("-")[0], state) for key, state, _, _ in found.values())
    with capsys.disabled():
        print(f"\n{database}, seed {seed}: {dict(states)}, {copies.total()} mails")
    for id, (key, state, in_doubt, reason) in found.items():
        assert state in ("sent", "suppressed"), (key, state, reason)
        assert copies[id] >= (state == "sent"), (key, reason)
        assert copies[id] <= in_doubt + (state == "sent"), (key, state, reason)
    sent = Counter(key for key, state, _, _ in found.values() if state == "sent")
    doubts = Counter(key for key, _, in_doubt, _ in found.values() if in_doubt)
    for number in range(RECIPIENTS):
        key = f"{kind_of(number)}-{number}"
        if kind_of(number) == OFF:
            continue
        assert CAP - doubts[key] <= sent[key] <= CAP, (key, seed)
    for at, to, _ in notes:
        assert not (to.startswith(LATER) and at < due.timestamp()), (to, seed)
        assert off is None or not (to.startswith(OFF) and at > off + ON_THE_WIRE), (to, seed)
