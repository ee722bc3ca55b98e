"""An exception that nobody foresaw, raised for one item: that item is refused, the others are accepted."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace

import pytest
from pydantic import BaseModel
from support import poison_item
from support.ledger import NOTE, rows, run_sql
from support.poison_item import BAD, SECRET, Tripping
from support.requests import order
from support.rings import in_clear
from support.smtp_submission import SENDER, posting

from waypost import Request
from waypost.client import AsyncClient, Send
from waypost.deployments.file_send import submit
from waypost.deployments.registry import find
from waypost.model.notification_type import NotificationType

pytestmark = pytest.mark.anyio

NESTED = "(" * 478 + ")" * 478
FROMS = [f"{NESTED} <{SENDER}>", "(" * 400 + f" <{SENDER}>"]
PLAIN = replace(NOTE, request=None)
GROUPED = replace(PLAIN, grouping=poison_item.GROUPING)


@dataclass
class Declared:
    type: NotificationType

    @property
    def shape(self) -> type[BaseModel]:
        return Request[self.type.facts]


def note(text):
    return {"recipient": {"id": f"r-{text}", "email": "ada@a.example"}, "data": {"text": text}}


def mail(sender):
    lines = (f"From: {sender}", "To: ada@a.example", "Subject: Hi", "", "Hello", "")
    return "\r\n".join(lines)


def message(number, sender):
    return {"type": "message", "recipient": {"email": f"r{number}@a.example"}, "data": {"mime": mail(sender)}}


@pytest.fixture
def armed():
    Tripping.armed = True
    yield
    Tripping.armed = False


@pytest.fixture(params=["facts", "grouping key", "row"])
async def poisoned(request, ledger, armed):
    """A type of which one item raises: while it is read, on its way in, or when its row is written."""
    match request.param:
        case "facts":
            yield Declared(replace(PLAIN, facts=Tripping)), "reading failed unexpectedly: KeyError"
        case "grouping key":
            yield Declared(GROUPED), "reading failed unexpectedly: ZeroDivisionError"
        case _:
            await refuse(ledger)
            yield Declared(PLAIN), "accepting failed unexpectedly: IntegrityError"
            if ledger.is_postgres:
                await run_sql(ledger, "ALTER TABLE notifications DROP CONSTRAINT poison")


async def refuse(ledger):
    if not ledger.is_postgres:
        await poison_item.refuse_rows(ledger, "INSERT", "notifications")
        return
    ledger.sealing.ring = in_clear()
    held = f"CHECK (CAST(data AS TEXT) NOT LIKE '%{BAD}%')"
    await run_sql(ledger, f"ALTER TABLE notifications ADD CONSTRAINT poison {held}")


async def test_one_item_of_a_batch_is_answered_for_and_the_others_are_accepted(site_with, poisoned, caplog):
    declared, said = poisoned
    async with site_with(declared={"note": declared}) as site:
        shop = await site.client()
        items = [{"type": "note", **note(text)} for text in ("first", BAD, "third")]
        answer = await shop.post("/v1/notifications/batch", json={"notifications": items})
        alone = await shop.post("/v1/notifications", json=items[1])
        kept = [row.data["text"] for row in await rows(site.ledger)]
    results = answer.json()["results"]
    assert [one["status"] for one in results] == [202, 500, 202]
    assert [results[1]["error"]["detail"], alone.json()["detail"]] == [f"{said} (see the log)"] * 2
    assert kept == ["first", "third"]
    assert SECRET not in caplog.text
    assert SECRET not in answer.text


async def test_one_line_of_a_file_is_rejected_and_the_others_are_accepted(ledger, poisoned):
    declared, said = poisoned
    one = replace(find("order-confirmation"), type=declared.type)
    lines = [json.dumps(note(text)).encode() for text in ("first", BAD, "third")]
    sent = await submit(ledger, one, lines)
    [rejection] = sent.rejections
    assert (rejection.line, sent.accepted) == (2, 2)
    assert said.partition(": ")[2] in rejection.reason
    assert SECRET not in rejection.reason


@pytest.mark.parametrize("sender", FROMS)
async def test_a_sender_that_no_parser_takes_is_refused_by_name_and_the_others_go(site, shop, sender):
    items = [message(0, SENDER), message(1, sender), message(2, SENDER)]
    answer = await shop.post("/v1/notifications/batch", json={"notifications": items})
    alone = await shop.post("/v1/notifications", json=items[1])
    results = answer.json()["results"]
    assert [one["status"] for one in results] == [202, 422, 202]
    for error in (results[1]["error"], alone.json()):
        assert [(one["path"], "not a single address" in one["reason"]) for one in error["errors"]] == [
            ("data.mime", True)
        ]
    assert len(await rows(site.ledger)) == 2


@pytest.mark.parametrize("sender", FROMS)
async def test_a_sender_that_no_parser_takes_ends_no_session(post, key, sender):
    refused, taken = await submitted(post, key, mail(sender), mail(SENDER))
    assert (refused[0], taken[0]) == (554, 250)
    assert refused[1].startswith(b"5.6.0 From ")


async def test_a_mail_that_raises_is_refused_and_its_session_goes_on(ledger, poisoned, caplog):
    declared, said = poisoned
    async with posting(ledger, types={"note": declared}) as running:
        facts = [json.dumps({"text": text}) for text in ("first", BAD, "third")]
        fields = [f"{SENDER}\r\nX-Waypost-Type: note\r\nX-Waypost-Data: {one}" for one in facts]
        answers = await submitted(running, await running.key(), *map(mail, fields))
    assert [code for code, _ in answers] == [250, 554, 250]
    assert answers[1][1].decode() == f"5.3.0 {said} (see the log)"
    assert [row.data["text"] for row in await rows(ledger)] == ["first", "third"]
    assert SECRET not in caplog.text


async def submitted(post, key, *mails):
    """The answers to mails of one session."""

    def session():
        with post.client(key) as client:
            return [one_mail(client, text) for text in mails]

    return await asyncio.to_thread(session)


def one_mail(client, text):
    client.mail(SENDER)
    client.rcpt("ada@a.example")
    client.docmd("DATA")
    client.send(text.encode() + b".\r\n")
    return client.getreply()


async def test_an_item_that_cannot_be_written_as_json_harms_no_other_of_its_batch(site):
    class Odd:
        pass

    async with AsyncClient(site.url, await site.key()) as client:
        results = await client.send_many(
            Send(type="order-confirmation", **{**order(f"A-{number}"), **more})
            for number, more in enumerate(({}, {"data": {"order_id": Odd()}}, {}))
        )
    assert [one.status for one in results] == [202, 422, 202]
    assert results[1].error.code == "invalid"
    assert results[1].error.detail.startswith("writing an item as JSON failed unexpectedly: ")
