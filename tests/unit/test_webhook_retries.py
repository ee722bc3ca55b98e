"""When a webhook is told again, what it is told, and what it is signed with."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook as Independent

from waypost.gateway.webhooks.payload import event_id, payload
from waypost.gateway.webhooks.retry import again, released
from waypost.gateway.webhooks.secrets import keys, secret
from waypost.ledger.records.webhook_outbox import LIFETIME, Event
from waypost.ledger.records.webhooks import Webhook
from waypost.net.webhook_signature import secret as read
from waypost.net.webhook_signature import signature
from waypost.system.ids import new_id

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
KEY = b"a key of sixteen or more"


def event(tries=0, **more):
    known = {"type": "note", "state": "sent", "reason": "", "at": AT, "due_at": AT, "tries": tries}
    return Event(**{"id": 7, "notification_id": new_id(), **known, **more})


@pytest.mark.parametrize(
    ("tries", "seconds"), [(0, 5), (1, 30), (2, 120), (3, 600), (4, 3600), (7, 43200), (50, 43200)]
)
def test_the_waits_grow_to_half_a_day(tries, seconds):
    found = again(event(tries), None, AT, 0.0)
    assert (found.due_at - AT, found.tries) == (timedelta(seconds=seconds), tries + 1)
    assert again(event(tries), None, AT, 1.0).due_at - AT <= timedelta(seconds=seconds * 1.1)


def test_an_answer_may_ask_for_a_longer_wait_and_not_for_a_shorter():
    assert again(event(), timedelta(minutes=5), AT, 0.0).due_at == AT + timedelta(minutes=5)
    assert again(event(3), timedelta(seconds=1), AT, 0.0).due_at == AT + timedelta(minutes=10)


def test_after_three_days_nothing_is_told():
    assert again(event(9), None, AT + LIFETIME - timedelta(hours=1), 0.0) is None


def test_what_was_not_told_is_as_it_was():
    one = event(3)
    assert (released(one).due_at, released(one).tries) == (AT, 3)


def test_an_id_is_the_events_alone_and_always_the_same():
    webhook, one = new_id(), event()
    same = event(4, notification_id=one.notification_id, due_at=AT + LIFETIME)
    assert event_id(webhook, one) == event_id(webhook, same)
    others = [
        event_id(new_id(), one),
        event_id(webhook, event(id=8, notification_id=one.notification_id)),
        event_id(webhook, event(at=AT + timedelta(seconds=1), notification_id=one.notification_id)),
    ]
    assert len({event_id(webhook, one), *others}) == 4
    assert "." not in event_id(webhook, one)


def test_any_library_verifies_both_secrets_while_they_overlap():
    webhook = Webhook(new_id(), "shop", "https://shop.example", ["sent"], 3, AT + timedelta(hours=1), AT)
    moment = datetime.now(UTC)
    signed = Webhook(webhook.id, "shop", webhook.url, ["sent"], 3, moment + timedelta(hours=1), AT)
    body, stamp = payload(event()), int(moment.timestamp())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature(keys(KEY, signed, moment), "evt_1", stamp, body),
    }
    before = Webhook(webhook.id, "shop", webhook.url, ["sent"], 2, None, AT)
    for one in (webhook, before):
        assert Independent(secret(KEY, one)).verify(body, headers)["type"] == "notification.sent"
    assert len(read(secret(KEY, webhook))) == 32
    assert secret(KEY, webhook) != secret(KEY, before) != secret(b"another key of Waypost's", before)
    assert len(keys(KEY, webhook, AT + timedelta(hours=2))) == 1
