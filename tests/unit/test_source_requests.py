"""Rows become requests: the recipient, the facts, the date and the key."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import ValidationError

from waypost import Facts
from waypost.cli.errors import explained
from waypost.config.settings import Settings
from waypost.flows.low_balance import TYPE as LOW_BALANCE
from waypost.flows.membership_expiry import TYPE as MEMBERSHIP
from waypost.sources import today as of_today
from waypost.sources.requests import NotDue, Rejected, Requests, key
from waypost.sources.rows import Row

DAY = date(2026, 3, 2)
ADA = {"email": "ada@a.example", "balance": "4.20", "currency": "EUR"}


def made(values, of=LOW_BALANCE):
    return Requests(of, DAY).of(Row("row 1", values))


def reason(values, of=LOW_BALANCE):
    with pytest.raises(Rejected) as rejected:
        made(values, of)
    return str(rejected.value)


def test_columns_are_fields_of_the_recipient_and_facts():
    request = made(
        {
            **ADA, "phone": " +41791234567 ", "name": "Ada", "locale": "de_CH", "timezone": "Europe/Zurich",
            "id": "ada", "minimum": "", "account": None, "due_on": "2026-03-02",
        }
    )  # fmt: skip
    assert request.recipient.model_dump() == {
        "email": "ada@a.example", "phone": "+41791234567", "name": "Ada", "locale": "de-CH",
        "timezone": "Europe/Zurich", "id": "ada",
    }  # fmt: skip
    assert request.data.balance == Decimal("4.20")
    assert (request.data.minimum, request.data.account) == (None, "")


@pytest.mark.parametrize("balance", ["4.20", Decimal("4.20"), 4.2, " 4.2 "])
def test_values_of_every_source_are_read_alike(balance):
    assert made({**ADA, "balance": balance, "account": 4711, "id": UUID(int=1)}).data.balance == Decimal(
        "4.2"
    )


@pytest.mark.parametrize(
    "day", ["2026-03-31", date(2026, 3, 31), datetime(2026, 3, 31, tzinfo=UTC).replace(tzinfo=None)]
)
def test_a_date_may_be_a_text_or_a_date_of_the_database(day):
    row = {"email": "ada@a.example", "membership": "Friends", "expires_on": day}
    assert made(row, MEMBERSHIP).data.expires_on == date(2026, 3, 31)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"email": "ada@"}, "recipient.email: not a valid email address: nothing is after its @"),
        ({"email": ""}, "recipient: give an id, an email or a phone"),
        ({"locale": "xx-hunter2"}, "recipient.locale: not a locale such as 'de' or 'pt-BR'"),
        ({"balance": "hunter2"}, "data.balance: not a number"),
        ({"balance": None}, "data.balance: missing"),
        ({"currency": "hunter2"}, "data.currency: longer than 3 characters"),
        ({"due_on": "tomorrow"}, "due_on: not a date, such as 2026-01-31"),
        ({"due_on": "2026-03-02garbage"}, "due_on: not a date, such as 2026-01-31"),
        ({"due_on": "2026-W10-1"}, "due_on: not a date, such as 2026-01-31"),
        ({"account": "a\0b"}, "data.account: not one line of text"),
        ({"balance": 10**5000}, "reading failed unexpectedly: ValueError"),
    ],
)
def test_a_bad_row_names_the_field_and_not_its_value(values, said):
    found = reason({**ADA, **values})
    assert said in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "said", ["2026-03-02T08:30:00Z", "2026-03-02 08:30:00.5+01:00", datetime(2026, 3, 2)]
)
def test_a_moment_of_the_date_is_due(said):
    assert made({**ADA, "due_on": said})


def test_a_row_of_another_date_is_not_due():
    with pytest.raises(NotDue):
        made({**ADA, "due_on": "2026-03-03"})


def test_columns_that_no_field_takes_are_noted_and_left_out():
    requests = Requests(LOW_BALANCE, DAY)
    requests.of(Row("row 1", {**ADA, "minimun": "5", "due_on": ""}))
    assert list(requests.unused) == ["minimun"]


def test_noted_columns_are_few():
    requests = Requests(LOW_BALANCE, DAY)
    requests.of(Row("row 1", {**ADA, **{f"x{number}": 1 for number in range(100)}}))
    assert len(requests.unused) == 20


def test_a_key_is_of_the_type_the_person_and_the_date_and_shows_no_address():
    first = made(ADA).idempotency_key
    assert first == made({**ADA, "email": "ADA@a.example", "balance": "3"}).idempotency_key
    others = {
        made({**ADA, "email": "bob@a.example"}).idempotency_key,
        key("low-balance", date(2026, 3, 3), "mailto:ada@a.example"),
        key("membership-expiry", DAY, "mailto:ada@a.example"),
    }
    assert len(others | {first}) == 4
    assert "ada" not in first
    assert first.startswith("low-balance 2026-03-02 ")


def test_a_row_that_raises_in_a_types_own_code_is_rejected_alone():
    class Odd(Facts):
        text: str

        def model_post_init(self, _context):
            raise SystemExit("hunter2")

    odd = LOW_BALANCE.__class__(
        name="odd", facts=Odd, category="transactional", route=("email",), deadline=LOW_BALANCE.deadline
    )
    assert (
        reason({"email": "ada@a.example", "text": "x"}, odd)
        == "reading failed unexpectedly: SystemExit (see the log)"
    )


def test_today_is_a_date_of_the_default_time_zone(monkeypatch):
    monkeypatch.setattr(of_today, "now", lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert of_today.today(Settings(default_timezone="Pacific/Auckland")) == date(2026, 3, 2)
    assert of_today.today(Settings()) == date(2026, 3, 1)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x", "WAYPOST_SOURCES: not JSON such as {"),
        ('{"a": {}}', "WAYPOST_SOURCES: a: give a file, or a url and its query"),
        ('{"a": {"file": "a.csv", "url": "sqlite:///hunter2"}}', "a: give a file, or a url and its query"),
        ('{"a": {"url": "sqlite:///hunter2"}}', "a: give a file, or a url and its query"),
        ('{"a": {"file": "a.xlsx"}}', "a: the file must end in .csv, .tsv, .jsonl, .ndjson"),
        ('{"a": {"url": "mysql://u:hunter2@h/d", "query": "x"}}', "a: the url's database is not supported"),
        ('{"a": {"fil": "a.csv"}}', "a.fil: no such field"),
    ],
)
def test_an_invalid_source_is_named_without_its_secret(monkeypatch, value, said):
    monkeypatch.setenv("WAYPOST_SOURCES", value)
    with pytest.raises(ValidationError) as wrong:
        Settings()
    assert said in explained(wrong.value)
    assert "hunter2" not in explained(wrong.value) + str(wrong.value)


def test_the_url_of_a_source_is_never_shown(monkeypatch):
    monkeypatch.setenv("WAYPOST_SOURCES", '{"a": {"url": "postgresql://u:hunter2@h/d", "query": "SELECT 1"}}')
    settings = Settings()
    assert settings.sources["a"].url.get_secret_value() == "postgresql://u:hunter2@h/d"
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
