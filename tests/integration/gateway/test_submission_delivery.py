"""From a foreign client's mail to another server's: the body arrives as it was sent, byte for byte."""

from __future__ import annotations

import email
from email import policy

import pytest
from support.ledger import rows
from support.rings import DATA_KEYS
from support.smtp_submission import letter, posting

from waypost import Priority
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.deployments.processes import without_prefect
from waypost.ledger.queue import claims

pytestmark = pytest.mark.anyio


def body_of(mail):
    return mail.partition(b"\r\n\r\n")[2]


async def test_a_mail_with_an_attachment_arrives_as_it_was(ledger, database, inbox, tmp_path):
    mail = letter("Grüße\n.\n..und mehr\n", Bcc="eve@a.example", Cc="bob@a.example")
    mail.add_attachment(
        bytes(range(256)) * 500, maintype="image", subtype="png", filename="Bild für dich.png"
    )
    sent = mail.as_bytes(policy=policy.SMTP)
    async with posting(ledger) as post:
        code, said = await post.submit(await post.key(), sent, "ada@a.example", "bob@a.example")
    assert code == 250, said
    settings = Settings(
        home=tmp_path,
        database_url=database,
        data_keys=DATA_KEYS,
        smtp_url=f"smtp://127.0.0.1:{inbox.port}?tls=off",
    )
    async with Runtime.open(settings):
        await without_prefect.deliver(await claims.reserve(ledger, "message", Priority.NORMAL))
    kept = await rows(ledger)
    assert [row.state for row in kept] == ["sent", "sent"]
    assert sorted(one.rcpt_tos[0] for one in inbox.taken) == ["ada@a.example", "bob@a.example"]
    for one in inbox.taken:
        assert body_of(one.original_content) == body_of(sent)
        assert one.mail_options == ["BODY=8BITMIME"]
        found = email.message_from_bytes(one.original_content, policy=policy.default)
        assert (found["Bcc"], found["Cc"], found["References"]) == (None, "bob@a.example", "<1@app.example>")
        assert [part.get_filename() for part in found.iter_attachments()] == ["Bild für dich.png"]
    ids = {email.message_from_bytes(one.original_content)["Message-ID"] for one in inbox.taken}
    assert ids == {f"<{row.id.hex}@waypost.example>" for row in kept}
