"""Codes without a ledger: how they are derived, read, and judged."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from waypost.ledger.records.verification_codes import Checked, judge
from waypost.verification.codes import code_for, code_hash, digits_of, with_token

KEY = b"a key of sixteen or more"
ID = UUID(int=1)
PLACES = {"email": "ada@a.example", "sms": "+49170"}


def test_a_code_is_the_same_for_the_same_notification_and_addresses():
    assert code_for(KEY, ID, PLACES) == code_for(KEY, ID, dict(reversed(PLACES.items())))


@pytest.mark.parametrize(
    ("key", "id", "places"),
    [
        (KEY + b"!", ID, PLACES),
        (KEY, UUID(int=2), PLACES),
        (KEY, ID, {**PLACES, "email": "new@a.example"}),
        (KEY, ID, {**PLACES, "sms": "+49171"}),
        (KEY, ID, {"email": "ada@a.example"}),
    ],
)
def test_another_key_notification_or_address_has_another_code(key, id, places):
    assert code_for(key, id, places) != code_for(KEY, ID, PLACES)


def test_codes_are_spread_evenly_over_all_six_digits():
    codes = [code_for(KEY, uuid4(), PLACES) for _ in range(20_000)]
    for place in range(6):
        counted = Counter(code[place] for code in codes)
        assert len(counted) == 10
        assert all(1_750 < count < 2_250 for count in counted.values())  # five standard deviations of 42


def test_a_hash_tells_nothing_without_the_key():
    assert code_hash(KEY, ID, "123456") != code_hash(KEY + b"!", ID, "123456")
    assert code_hash(KEY, ID, "123456") != code_hash(KEY, UUID(int=2), "123456")


@pytest.mark.parametrize(
    "text", ["123456", "12-34-56", "\t123 456\n", "\uff11\uff12\uff13\u2014456", "۱۲۳۴۵۶"]
)
def test_a_code_is_read_as_people_paste_it(text):
    assert digits_of(text) == "123456"


@pytest.mark.parametrize("text", ["", "12345", "1234567", "12345a", "123.456", "½23456", "1" * 500])
def test_what_cannot_be_a_code_is_none(text):
    assert digits_of(text) is None


@pytest.mark.parametrize(
    ("page", "made"),
    [
        ("https://a.example/v", "https://a.example/v?token=T"),
        ("https://a.example/v?flag#top", "https://a.example/v?flag&token=T#top"),
        ("https://a.example/v?q=%E9%FF&a=2;b&e=", "https://a.example/v?q=%E9%FF&a=2;b&e=&token=T"),
        ("https://a.example/v?token=old&x=1&token", "https://a.example/v?x=1&token=T"),
    ],
)
def test_a_link_keeps_its_query_and_has_one_token(page, made):
    assert with_token(page, "T") == made


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Row:
    used_at: datetime | None = None
    wrong_tries: int = 0
    state: str = "sent"
    expires_at: datetime = MOMENT + timedelta(minutes=1)
    may_have_arrived: bool = True


LIVE, USED, ENDED = Row(), Row(used_at=MOMENT), Row(wrong_tries=5)
EXPIRED, WITHDRAWN = Row(expires_at=MOMENT), Row(state="cancelled")
COMING, REFUSED = Row(state="deferred", may_have_arrived=False), Row(state="failed", may_have_arrived=False)


@pytest.mark.parametrize(
    ("rows", "right", "found"),
    [
        ([], None, Checked.UNKNOWN),
        ([LIVE], LIVE, Checked.VERIFIED),
        ([USED], USED, Checked.USED),
        ([ENDED], ENDED, Checked.ENDED),
        ([EXPIRED], EXPIRED, Checked.EXPIRED),
        ([WITHDRAWN], WITHDRAWN, Checked.ENDED),
        ([COMING], COMING, Checked.WRONG),
        ([REFUSED], REFUSED, Checked.ENDED),
        # The code is answered for itself, whatever stands beside it.
        ([COMING, LIVE], LIVE, Checked.VERIFIED),
        ([LIVE, EXPIRED], EXPIRED, Checked.EXPIRED),
        ([LIVE, USED], USED, Checked.USED),
        # A wrong one is wrong while another would be right, and else answered as the newest would be.
        ([COMING, LIVE], None, Checked.WRONG),
        ([USED, LIVE], None, Checked.WRONG),
        ([USED, EXPIRED], None, Checked.USED),
        ([EXPIRED, USED], None, Checked.EXPIRED),
        ([REFUSED, USED], None, Checked.ENDED),
        ([COMING, EXPIRED], None, Checked.WRONG),
    ],
)
def test_a_code_is_judged_by_those_that_were_sent(rows, right, found):
    assert judge(rows, lambda row: row is right, MOMENT) is found


def test_a_code_that_two_messages_carry_is_right_if_either_arrived():
    assert judge([REFUSED, LIVE], lambda row: True, MOMENT) is Checked.VERIFIED
