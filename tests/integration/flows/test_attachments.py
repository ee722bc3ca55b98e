"""A type whose mails carry files: one that cannot go out harms no other."""

import email
from dataclasses import replace
from email import policy

import pytest
from prefect import flow
from support import note_flow
from support.flow_steps import report_of
from support.ledger import Note, rows

from waypost import Attachment, Recipient, Request
from waypost.model.states import State
from waypost.tasks import deliver, lookup, render, report

pytestmark = pytest.mark.anyio


async def bill(facts: Note):
    return [
        Attachment("Rechnung für dich.txt", facts.text.encode() * (10**6 if facts.text == "large" else 1)),
        Attachment("logo.png", b"png", cid="logo@a.example"),
    ]


TYPE = replace(note_flow.TYPE, attachments=bill)


@flow(name=TYPE.name)
async def bills(requests: list[Request[Note]]):
    return await report(await deliver(await render(await lookup(TYPE, requests, None))))


@pytest.fixture(autouse=True)
def little_room(own_environment, monkeypatch):
    monkeypatch.setenv("WAYPOST_ATTACHMENT_MEGABYTES", "4")


def ask(text):
    return Request[Note](
        recipient=Recipient(id=text, email=f"{text}@a.example", phone="+15550100"), data=Note(text=text)
    )


async def test_one_mail_with_too_much_fails_alone(bench):
    done = await report_of(bills, [ask("small"), ask("large"), ask("little")])
    assert done.states == {State.SENT: 2, State.FAILED: 1}
    sent = [email.message_from_bytes(one.content, policy=policy.default) for one in bench.primary.sent]
    assert [part.get_filename() for one in sent for part in one.walk() if part.get_filename()] == [
        "logo.png", "Rechnung für dich.txt", "logo.png", "Rechnung für dich.txt",
    ]  # fmt: skip
    [failed] = [row for row in await rows(bench.runtime.ledger) if row.state == "failed"]
    assert failed.reason.startswith("its attachments have 5.0 MB; WAYPOST_ATTACHMENT_MEGABYTES allows 4")
