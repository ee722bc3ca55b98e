"""What the types that prove an address mint, without a ledger: names, lifetimes, links and kept hashes."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from support.shipped_types import sample

from waypost import NotificationType
from waypost.flows.address_change import TYPE as ADDRESS_CHANGE
from waypost.flows.invitation import TYPE as INVITATION
from waypost.flows.password_reset import TYPE as PASSWORD_RESET
from waypost.flows.sign_in_code import TYPE as SIGN_IN_CODE
from waypost.flows.signup_verification import TYPE as SIGNUP
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.verification.codes import LONGEST, Proof

pytestmark = pytest.mark.anyio

ADA = ResolvedRecipient("ada", "ada@a.example", "+4917012345", "Ada", "en", "UTC")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
PROVING = [ADDRESS_CHANGE, INVITATION, PASSWORD_RESET, SIGN_IN_CODE, SIGNUP]


class Shelf:
    """Keeps codes in memory."""

    secret_key = b"a key of sixteen or more"

    def __init__(self):
        self.kept = []

    async def keep_codes(self, rows):
        self.kept += rows


def asked(type: NotificationType) -> Notification:
    facts = type.facts.model_validate(sample(type.name)).model_dump()
    until = MOMENT + type.deadline
    return Notification(
        UUID(int=7), type.name, type.lane, ADA, facts, 1, MOMENT, until, channels=[*type.kinds]
    )


async def minted(type: NotificationType):
    """The values minted for one notification, and the rows that are kept."""
    shelf, one = Shelf(), asked(type)
    assert type.mint is not None
    [values] = (await type.mint(shelf, [one])).values()
    return values, shelf.kept


@pytest.mark.parametrize("type", PROVING, ids=lambda type: type.name)
async def test_a_type_mints_the_names_that_it_declares(type):
    values, _ = await minted(type)
    assert set(values) == set(type.minted)


@pytest.mark.parametrize("type", PROVING, ids=lambda type: type.name)
async def test_what_is_kept_lives_as_long_as_the_message_says(type):
    values, kept = await minted(type)
    assert kept
    assert {row["expires_at"] - row["minted_at"] for row in kept} == {timedelta(minutes=values["minutes"])}


@pytest.mark.parametrize("type", PROVING, ids=lambda type: type.name)
async def test_no_secret_is_kept_as_it_is_sent(type):
    values, kept = await minted(type)
    secrets = [values[name] for name in ("code", "token") if name in values]
    assert not [secret for secret in secrets if secret in str(kept)]


@pytest.mark.parametrize(
    ("type", "page"),
    [(ADDRESS_CHANGE, "verify_url"), (INVITATION, "accept_url"), (PASSWORD_RESET, "reset_url")],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_a_link_opens_the_page_of_its_facts_with_a_token(type, page):
    values, _ = await minted(type)
    assert values["link"] == f"{sample(type.name)[page]}?token={values['token']}"


async def test_a_link_without_a_code_keeps_only_the_beginning_of_a_hash():
    [[row], [whole]] = [(await minted(type))[1] for type in (PASSWORD_RESET, SIGNUP)]
    assert (len(row["code_hash"]), len(whole["code_hash"])) == (8, 32)


async def test_a_sign_in_code_proves_each_address_that_it_may_go_to():
    _, kept = await minted(SIGN_IN_CODE)
    assert {row["channel"] for row in kept} == {"email", "sms"}


async def test_two_renderings_have_the_same_code():
    assert (await minted(SIGN_IN_CODE))[0] == (await minted(SIGN_IN_CODE))[0]


@pytest.mark.parametrize(
    "type", [ADDRESS_CHANGE, PASSWORD_RESET, SIGN_IN_CODE, SIGNUP], ids=lambda type: type.name
)
def test_a_message_is_not_sent_after_its_secret_would_have_expired(type):
    assert type.deadline <= type.mint.lifetime


@pytest.mark.parametrize("lifetime", [timedelta(), timedelta(minutes=-1), LONGEST + timedelta(seconds=1)])
def test_a_lifetime_that_no_token_has_is_refused(lifetime):
    with pytest.raises(ValueError, match="lifetime: not between 0 and 30 days"):
        Proof(lifetime)


def test_a_proof_of_nothing_is_refused():
    with pytest.raises(ValueError, match="neither a code nor a link"):
        Proof(LONGEST, code=False, page=None)
