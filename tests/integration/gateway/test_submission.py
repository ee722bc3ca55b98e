"""A mail by SMTP: durable when it is answered 250, once for each recipient, all of them or none."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from support.ledger import rows, run_sql
from support.requests import order
from support.smtp_submission import SENDER, letter, posting

from waypost.deployments.registry import registered
from waypost.ledger.database.tables import idempotency_keys, tags

pytestmark = pytest.mark.anyio

ORDER = json.dumps(order("A-1")["data"])


async def test_what_is_answered_is_a_notification_that_holds_the_mail(post, key):
    mail = letter(Bcc="eve@a.example")
    mail.add_attachment(b"\x00\xff%PDF", maintype="application", subtype="pdf", filename="invoice.pdf")
    code, said = await post.submit(key, mail)
    [row] = await rows(post.ledger)
    assert (code, said) == (250, f"2.0.0 accepted as {row.id}")
    assert (row.type, row.client, row.state, row.recipient_key) == (
        "message", "shop", "accepted", await post.ledger.stored_key("mailto:ada@a.example"),
    )  # fmt: skip
    assert mail.as_bytes(policy=mail.policy.clone(linesep="\r\n")).endswith(
        row.data["mime"].partition("\r\n\r\n")[2].encode("latin-1")
    )
    assert "eve@" not in row.data["mime"]


async def test_each_recipient_is_a_notification_and_hears_its_id_in_turn(post, key):
    to = [f"r{number}@a.example" for number in range(5)]
    code, said = await post.submit(key, letter(), *to, "R1@A.example")
    assert code == 250
    kept = {row.recipient_key: str(row.id) for row in await rows(post.ledger)}
    keys = [await post.ledger.stored_key(f"mailto:{one}") for one in to]
    assert [line.rpartition(" ")[2] for line in said.splitlines()] == [kept[key] for key in keys]


async def test_the_same_mail_again_is_the_same_notification(post, key):
    first = await post.submit(key, letter(), "ada@a.example", "bob@a.example")
    handed_on = b"Received: from a relay; Mon, 2 Mar 2026 00:00:00 +0000\r\n" + letter().as_bytes().replace(
        b"\n", b"\r\n"
    )
    again = await post.submit(key, handed_on, "ada@a.example", "bob@a.example")
    assert again == first
    assert len(await rows(post.ledger)) == 2


async def test_a_mail_that_was_built_anew_is_the_same_notification(post, key):
    first = await post.submit(key, letter())
    anew = letter(Date="Mon, 2 Mar 2026 00:00:00 +0000", X_Mailer="2.0")
    anew.set_content(letter().get_content(), cte="base64")
    assert await post.submit(key, anew) == first
    assert len(await rows(post.ledger)) == 1


async def test_another_recipient_or_another_client_is_not_the_same(post, key):
    theirs = await post.key("blog")
    said = [
        await post.submit(key, letter()),
        await post.submit(key, letter(), "bob@a.example"),
        await post.submit(theirs, letter()),
    ]
    assert len(set(said)) == 3
    assert len(await rows(post.ledger)) == 3


async def test_mails_without_a_message_id_are_mails_of_their_own(post, key):
    mail = letter()
    del mail["Message-ID"]
    for _ in range(2):
        assert (await post.submit(key, mail))[0] == 250
    assert len(await rows(post.ledger)) == 2
    assert await rows(post.ledger, idempotency_keys) == []


async def test_a_message_id_is_remembered_for_a_day(post, key):
    await post.submit(key, letter())
    await run_sql(post.ledger, "UPDATE idempotency_keys SET created_at = '2020-01-01 00:00:00.000000+00:00'")
    assert (await post.submit(key, letter("Another\n")))[0] == 250
    assert len(await rows(post.ledger)) == 2


async def test_where_one_recipient_is_in_the_way_nobody_is_written_to(post, key):
    await post.submit(key, letter(), "bob@a.example")
    code, said = await post.submit(key, letter("Another\n"), "ada@a.example", "bob@a.example")
    assert (code, said) == (554, "5.6.0 Message-ID: already used for another mail to the same recipient")
    bob = await post.ledger.stored_key("mailto:bob@a.example")
    assert [row.recipient_key for row in await rows(post.ledger)] == [bob]


async def test_twenty_at_once_with_one_message_id_are_one(post, key):
    said = await asyncio.gather(*(post.submit(key, letter()) for _ in range(20)))
    assert len(set(said)) == 1
    assert said[0][0] == 250
    assert len(await rows(post.ledger)) == 1


async def test_a_type_and_its_facts_may_be_named_instead(post, key):
    mail = letter(X_Waypost_Type="order-confirmation", X_Waypost_Data=ORDER)
    code, said = await post.submit(key, mail, "ada@a.example", "bob@a.example")
    assert code == 250, said
    kept = await rows(post.ledger)
    assert {(row.type, row.data["lines"][0]["product"]) for row in kept} == {("order-confirmation", "Käse")}
    people = [await post.ledger.stored_key(f"mailto:{name}@a.example") for name in ("ada", "bob")]
    assert {row.recipient_key for row in kept} == {*people}


@pytest.mark.parametrize(
    ("headers", "reply"),
    [
        ({"X_Waypost_Type": "nothing-known"}, "554 5.6.0 type: not one of address-change, alert"),
        ({"X_Waypost_Type": "order-confirmation"}, "554 5.6.0 data.order_id: missing"),
        (
            {"X_Waypost_Type": "order-confirmation", "X_Waypost_Data": ORDER.replace('"EUR"', '"EURO"')},
            "554 5.6.0 data.currency: ",
        ),
        (
            {"X_Waypost_Typ": "alert"},
            "554 5.6.0 X-Waypost-*: unknown header; only X-Waypost-Type and X-Waypost-Data",
        ),
        ({"X_Waypost_Type": "alert", "X_Waypost_Data": "{"}, "554 5.6.0 X-Waypost-Data: not JSON"),
        ({"X_Waypost_Type": "alert", "X_Waypost_Data": "[]"}, "554 5.6.0 data: not an object"),
        (
            {"X_Waypost_Type": "alert", "X_Waypost_Data": "[" * 60},
            "554 5.6.0 X-Waypost-Data: the JSON is nes",
        ),
        ({"X_Waypost_Data": "{}"}, "554 5.6.0 X-Waypost-Data: needs X-Waypost-Type"),
    ],
)
async def test_a_type_or_facts_that_are_wrong_are_named_and_nothing_is_stored(post, key, headers, reply):
    code, said = await post.submit(key, letter(**headers))
    assert f"{code} {said}".startswith(reply)
    assert await rows(post.ledger) == []
    assert await rows(post.ledger, tags) == []


async def test_one_session_takes_mail_after_mail(post, key):
    def several():
        with post.client(key) as client:
            for number in range(3):
                refused = client.send_message(letter(Message_ID=f"<{number}@app.example>"), SENDER)
                assert refused == {}

    await asyncio.to_thread(several)
    assert len(await rows(post.ledger)) == 3


@pytest.mark.parametrize("replaced", [True, False])
async def test_without_the_type_of_whole_mails_a_mail_needs_the_name_of_a_type(ledger, replaced):
    types = {name: one for name, one in registered().items() if name != "message"}
    if replaced:
        order_type = types["order-confirmation"]
        types["message"] = replace(order_type, type=replace(order_type.type, name="message"))
    async with posting(ledger, types=types) as post:
        key = await post.key()
        code, said = await post.submit(key, letter())
        named = letter(X_Waypost_Type="message" if replaced else "order-confirmation", X_Waypost_Data=ORDER)
        assert (await post.submit(key, named))[0] == 250
    assert (code, said) == (
        550,
        "5.7.1 mails without X-Waypost-Type are not accepted here; name a type in that header",
    )
    assert len(await rows(ledger)) == 1
