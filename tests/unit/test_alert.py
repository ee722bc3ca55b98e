"""Which alerts are the same alert, and what a digest makes of those that waited."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pydantic import ValidationError

from waypost.flows.alert import TYPE, Alert, AlertRequest
from waypost.flows.digest import Digest, compose
from waypost.model.notification import HeldItem

ALERT = {
    "severity": "critical",
    "source": "db-1",
    "summary": "Disk full",
    "labels": {"zone": "a", "disk": "sda"},
    "started_at": "2026-03-01T12:00:00Z",
}
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def key(**changed):
    return TYPE.grouping.key(Alert.model_validate({**ALERT, **changed}))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"labels": {"disk": "sda", "zone": "a"}},
        {"severity": "info"},
        {"started_at": "2026-03-01T12:01:00Z"},
        {"url": "https://a.example"},
        {"status": "resolved"},
    ],
)
def test_the_same_source_summary_and_labels_are_one_alert(changed):
    assert key(**changed) == key()


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "db-2"},
        {"summary": "Disk nearly full"},
        {"labels": {"zone": "a", "disk": "sdb"}},
        {"labels": {"zone": "a"}},
        {"labels": {}},
        {"fingerprint": "f"},
        {"source": "db-1', 'Disk", "summary": "full"},
    ],
)
def test_anything_else_is_another_alert(changed):
    assert key(**changed) != key()


def test_a_fingerprint_decides_alone():
    assert key(fingerprint="f", summary="other", source="x", labels={}) == key(fingerprint="f")


def condition(**changed):
    return TYPE.grouping.condition(Alert.model_validate({**ALERT, **changed}))


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        ({"severity": "warning"}, {"severity": "critical"}, True),
        ({"severity": "info"}, {"severity": "warning"}, True),
        ({"severity": "critical"}, {"severity": "warning"}, False),
        ({}, {}, False),
        ({}, {"started_at": "2026-03-01T12:01:00Z"}, False),
        ({}, {"status": "resolved"}, True),
        ({"status": "resolved"}, {"started_at": "2026-03-01T12:01:00Z"}, True),
    ],
)
def test_an_alert_that_gets_worse_or_changes_its_status_is_news(before, after, news):
    assert condition(**after).is_news_after(condition(**before)) is news


@pytest.mark.parametrize(("digest", "digested"), [(None, False), (False, False), (True, True)])
def test_an_alert_waits_for_the_digest_only_when_asked(digest, digested):
    asked = {"recipient": {"id": "7"}, "data": ALERT} | ({} if digest is None else {"digest": digest})
    assert AlertRequest.model_validate(asked).digested is digested


def held(number, severity="info", **more):
    data = {**ALERT, "severity": severity, "summary": f"number {number}", "status": "firing", **more}
    return HeldItem(UUID(int=number), data, number + 1, START + timedelta(minutes=number))


def test_a_digest_counts_by_severity_and_shows_the_gravest_first():
    items = [held(0), held(1, "warning"), held(2), held(3, "critical"), held(4, "warning")]
    made = Digest.model_validate(compose(items, START + timedelta(hours=1)))
    assert (made.total, made.critical, made.warning, made.info) == (5, 1, 2, 2)
    shown = [(item.summary, item.count) for item in made.items]
    assert shown == [(f"number {n}", n + 1) for n in (3, 4, 1, 2, 0)]


def test_a_digest_spans_from_its_first_item_to_now():
    made = Digest.model_validate(compose([held(5), held(9)], START + timedelta(hours=1)))
    assert (made.since, made.until) == (START + timedelta(minutes=5), START + timedelta(hours=1))


def test_a_digest_of_very_many_shows_a_hundred_and_counts_all():
    items = [*(held(n) for n in range(250)), held(250, "critical")]
    made = Digest.model_validate(compose(items, START))
    assert (made.total, made.info, made.critical, len(made.items)) == (251, 250, 1, 100)
    assert [made.items[0].summary, made.items[-1].summary] == ["number 250", "number 151"]


def test_a_digest_never_leaves_out_the_newest_critical_alert():
    made = Digest.model_validate(compose([held(n, "critical") for n in range(150)], START))
    assert [made.items[0].summary, made.items[-1].summary] == ["number 149", "number 50"]


@pytest.mark.parametrize(("said", "stop"), [([None, "a", "b", None], "b"), ([None], None)])
def test_a_digest_is_stopped_where_its_newest_alert_says(said, stop):
    page = "https://a.example/{}".format
    items = [held(n, unsubscribe_url=word and page(word)) for n, word in enumerate(said)]
    made = Digest.model_validate(compose(items, START))
    assert made.model_dump()["unsubscribe_url"] == (stop and page(stop))


def test_an_item_of_a_digest_keeps_its_link():
    made = Digest.model_validate(compose([held(0), held(1, url="https://a.example/1")], START))
    assert [item["url"] for item in made.model_dump()["items"]] == ["https://a.example/1", None]


@pytest.mark.parametrize("page", ["mailto:a@b.example", "https://a.example/" + "|" * 400])
def test_an_address_that_no_header_can_hold_is_refused(page):
    with pytest.raises(ValidationError, match="unsubscribe_url"):
        Alert.model_validate({**ALERT, "unsubscribe_url": page})


@pytest.mark.parametrize("more", [{"labels": {"a": "b"}}, {"url": "https://a.example"}, {"fingerprint": "f"}])
def test_a_digest_takes_what_an_alert_may_hold(more):
    assert Digest.model_validate(compose([held(0, **more)], START)).items[0].source == "db-1"
