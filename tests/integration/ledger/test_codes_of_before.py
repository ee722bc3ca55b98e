"""Codes on their way at the upgrade from one row a notification to one for each code and address."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from alembic import command
from itsdangerous import URLSafeTimedSerializer
from support.ledger import change, rows
from support.minted_codes import CODED, another, asked, attempted, key_of

from waypost import Recipient
from waypost.ledger.database import migrate
from waypost.ledger.database.tables import verifications
from waypost.ledger.records.verification_codes import Checked
from waypost.model.outcome import Verdict
from waypost.verification.codes import code_hash, verify, verify_link

pytestmark = pytest.mark.anyio

REACHED = {
    "email": Recipient(id="ada", email="Ada@a.example"),
    "sms": Recipient(id="ada", phone="+49 (170) 123.45-12"),
}
BEFORE = sa.table(
    "verifications",
    sa.column("notification_id", sa.Uuid()),
    sa.column("address", sa.Text),
    sa.column("earlier_hash", sa.LargeBinary),
)


@pytest.fixture(params=REACHED)
async def before(ledger, request):
    """A code that is out in doubt, and the code before it, in a ledger that is then brought up to date."""
    kind, recipient = request.param, REACHED[request.param]
    type = replace(CODED, route=(kind,))
    await asked(ledger, recipient, type)
    made = await attempted(ledger, Verdict.UNKNOWN, kinds=(kind,), type=type)
    [row] = await rows(ledger, verifications)
    earlier = another(made["code"])
    kept = {
        "address": (recipient.email or recipient.phone).lower(),
        "earlier_hash": code_hash(key_of(ledger), row.notification_id, earlier),
    }

    def work(connection):
        command.downgrade(migrate.config(connection), "0007")
        connection.execute(sa.update(BEFORE).values(**kept))

    await ledger.write(work)
    yield recipient, row.notification_id, made["code"], earlier
    await ledger.upgrade()


async def test_both_codes_stay_right(ledger, before):
    recipient, _, *codes = before
    address = recipient.email or recipient.phone
    await ledger.upgrade()
    assert len(await rows(ledger, verifications)) == 2
    for code in codes:
        await change(ledger, verifications, used_at=None)
        assert await verify(ledger, key_of(ledger), address, code) is Checked.VERIFIED
        assert await verify(ledger, key_of(ledger), "ada", code) is Checked.USED


async def test_its_link_stays_right(ledger, before):
    await ledger.upgrade()
    signer = URLSafeTimedSerializer(key_of(ledger), salt="waypost.verification")
    token = signer.dumps(before[1].hex)
    assert [await verify_link(ledger, key_of(ledger), token) for _ in range(2)] == [
        Checked.VERIFIED,
        Checked.USED,
    ]


async def test_going_back_keeps_one_code_of_a_notification(ledger, before):
    await ledger.upgrade()
    await ledger.write(lambda connection: command.downgrade(migrate.config(connection), "0007"))
    wanted = sa.select(BEFORE.c.notification_id)
    found = await ledger.read(lambda connection: connection.scalars(wanted).all())
    assert found == [before[1]]
