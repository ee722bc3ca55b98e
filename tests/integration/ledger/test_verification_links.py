"""Links without a code: no wrong code ends them; of two types, each has its own; of an invitation, the older
links stay."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.ledger import change
from support.minted_codes import CODED, another, asked, attempted, key_of

from waypost.ledger.database.tables import notifications
from waypost.ledger.records.verification_codes import Checked
from waypost.verification.codes import Proof, verify, verify_link

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
RESET = replace(CODED, mint=Proof(DAY, code=False))
INVITED = replace(CODED, mint=Proof(DAY, code=False, ends_older=False))


async def sent(ledger, type=CODED):
    await asked(ledger, type=type)
    return await attempted(ledger, type=type)


async def followed(ledger, minted, **scope):
    return await verify_link(ledger, key_of(ledger), minted["token"], **scope)


async def typed(ledger, code, **scope):
    return await verify(ledger, key_of(ledger), "ada", code, **scope)


async def test_a_link_without_a_code_works_once(ledger):
    reset = await sent(ledger, RESET)
    assert [await followed(ledger, reset) for _ in range(2)] == [Checked.VERIFIED, Checked.USED]


async def test_wrong_codes_end_no_link_without_a_code(ledger):
    reset, coded = await sent(ledger, RESET), await sent(ledger)
    wrong = another(coded["code"])
    assert [await typed(ledger, wrong) for _ in range(5)] == [Checked.WRONG] * 4 + [Checked.ENDED]
    assert await followed(ledger, reset) is Checked.VERIFIED


async def test_who_has_only_a_link_has_no_code(ledger):
    await sent(ledger, RESET)
    assert await typed(ledger, "123456") is Checked.UNKNOWN


@pytest.mark.parametrize(("type", "left"), [(RESET, Checked.USED), (INVITED, Checked.VERIFIED)])
async def test_the_use_of_a_link_ends_the_older_ones_unless_it_stands_alone(ledger, type, left):
    older, newer = await sent(ledger, type), await sent(ledger, type)
    assert await followed(ledger, newer) is Checked.VERIFIED
    assert await followed(ledger, newer) is Checked.USED
    assert await followed(ledger, older) is left


async def test_a_link_of_one_type_is_unknown_to_another(ledger):
    invited = await sent(ledger, INVITED)
    await change(ledger, notifications, type="invitation")
    assert await followed(ledger, invited, type="reset") is Checked.UNKNOWN
    assert await followed(ledger, invited, type="invitation") is Checked.VERIFIED


async def test_a_code_of_one_type_is_unknown_to_another_and_costs_no_try(ledger):
    coded = await sent(ledger)
    wrong = another(coded["code"])
    assert {await typed(ledger, wrong, type="reset") for _ in range(9)} == {Checked.UNKNOWN}
    assert await typed(ledger, coded["code"], type="reset") is Checked.UNKNOWN
    assert await typed(ledger, coded["code"], type="note") is Checked.VERIFIED
