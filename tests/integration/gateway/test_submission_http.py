"""A finished mail over HTTP: the type `message`, under the rules that SMTP has."""

from __future__ import annotations

import pytest
from support.ledger import rows
from support.smtp_submission import SENDER

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def asking(mime):
    return {"type": "message", "recipient": {"email": "ada@a.example"}, "data": {"mime": mime}}


async def test_it_is_listed_and_taken_as_other_types_are(site, shop):
    assert "message" in [one["type"] for one in (await shop.get("/v1/types")).json()["types"]]
    mime = f"From: {SENDER}\r\nBcc: eve@a.example\r\nSubject: x\r\n\r\nHello\r\n"
    assert (await shop.post("/v1/notifications", json=asking(mime))).status_code == 202
    [row] = await rows(site.ledger)
    assert row.data == {"mime": f"From: {SENDER}\r\nSubject: x\r\n\r\nHello\r\n"}


@pytest.mark.parametrize(
    ("mime", "status", "said"),
    [
        ("From: boss@evil.example\r\n\r\nx", 403, "WAYPOST_SUBMISSION_SENDERS"),
        (f"From: {SENDER}\r\n\nx", 422, "data.mime: a line does not end in CRLF"),
        ("Subject: x\r\n\r\nx", 422, "data.mime: From is missing"),
        (f"From: {SENDER}\r\n\r\n€", 422, "data.mime: a letter is outside ISO 8859-1"),
        (f"From: {SENDER}\r\n\r\n\0", 422, "data.mime: it contains a NUL"),
        ("", 422, "data.mime: empty"),
        (7, 422, "data.mime: not text"),
    ],
)
async def test_what_is_no_mail_or_from_somebody_else_is_told_and_nothing_stored(
    site, shop, mime, status, said
):
    answer = await shop.post("/v1/notifications", json=asking(mime))
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert await rows(site.ledger) == []
