"""Values that one request must not spoil others with."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from waypost.flows.alert import AlertRequest
from waypost.ledger import open_ledger
from waypost.model.locale import known_locale
from waypost.rendering.filters import rounded


def ask(**more):
    data = {"severity": "info", "source": "s", "summary": "x", "started_at": "2026-01-02T03:04:05Z"}
    return {"recipient": {"id": "ada"}, "data": data, **more}


@pytest.mark.parametrize(
    "spoilt",
    [
        ask(idempotency_key="a\0"),
        ask(deliver_at="9999-12-31T23:59:59Z"),
        ask(expires_at="0001-01-01T00:00:00+14:00"),
        {**ask(), "recipient": {"id": "mailto:victim@a.example"}},
        {**ask(), "recipient": {"id": "ada", "locale": "de.\x1b[31m"}},
        {**ask(), "data": {**ask()["data"], "labels": {"a": "b\0"}}},
        {**ask(), "data": {**ask()["data"], "summary": "two\u2028lines"}},
    ],
)
def test_what_no_database_or_header_holds_is_refused(spoilt):
    AlertRequest.model_validate(ask())
    with pytest.raises(ValidationError):
        AlertRequest.model_validate(spoilt)


@pytest.mark.parametrize(("given", "known"), [("DE", "de"), ("PT-BR", "pt-BR"), ("pt_br", "pt-BR")])
def test_a_locale_is_known_in_any_case(given, known):
    assert known_locale(given) == known


@pytest.mark.parametrize("junk", ["en.1", "en@;DROP", "de/../..", "", "en-"])
def test_junk_is_no_locale(junk):
    with pytest.raises(ValueError, match="not a locale"):
        known_locale(junk)


def test_there_is_no_negative_zero():
    assert str(rounded(Decimal("-0"), "EUR")) == "0.00"


def test_a_database_url_that_cannot_be_read_is_not_repeated():
    with pytest.raises(ValueError, match="WAYPOST_DATABASE_URL") as refused:
        open_ledger("postgresql+asyncpg://user:p@ss:hunter2@127.0.0.1:5432/db")
    assert "hunter2" not in str(refused.value)
