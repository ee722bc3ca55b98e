"""SMTP submission on a free port, and independent clients for it: smtplib, and bare sockets."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage

from support.certificates import Pair
from waypost.config.mail import senders_of_brands
from waypost.config.settings import Settings
from waypost.deployments.registry import registered
from waypost.gateway.auth import key_format as keys
from waypost.gateway.auth.authenticator import Authenticator
from waypost.gateway.intake import Intake
from waypost.gateway.smtp.context import SubmissionContext
from waypost.gateway.smtp.server import SubmissionAddress, listening, tls_context
from waypost.ledger import Ledger
from waypost.ledger.records import api_keys
from waypost.ledger.records.api_keys import ApiKey
from waypost.system.clock import now

SENDER = "no-reply@waypost.example"


def letter(text: str = "Hello\n", to: str = "ada@a.example", **headers: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = f"Shop <{SENDER}>", to, "Your order"
    made["Message-ID"], made["Date"] = "<1@app.example>", "Sun, 01 Mar 2026 08:00:00 +0100"
    for name, value in headers.items():
        del made[name.replace("_", "-")]
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made


@dataclass
class Post:
    """A gateway that takes submissions, seen from outside."""

    ledger: Ledger
    port: int = 0
    trusts: ssl.SSLContext | None = None
    implicit: bool = False

    async def key(
        self,
        client: str = "shop",
        *scopes: str,
        rate: int | None = None,
        brand: str | None = None,
        only_to: list[str] | None = None,
    ) -> str:
        """The text of a new key that works at once."""
        minted = keys.mint()
        given = list(scopes or ("send", "read"))
        made = ApiKey(minted.id, client, given, rate, now(), None, None, minted.secret_hash, brand, only_to)
        await api_keys.add(self.ledger, made)
        return minted.text

    @contextmanager
    def client(self, key: str | None, user: str = "shop") -> Iterator[smtplib.SMTP]:
        """smtplib, over TLS if there is a certificate, logged in with `key`."""
        with self._connected() as opened:
            if self.trusts is not None and not self.implicit:
                opened.starttls(context=self.trusts)
            if key is not None:
                opened.login(user, key)
            yield opened

    def _connected(self) -> smtplib.SMTP:
        if self.implicit:
            return smtplib.SMTP_SSL("127.0.0.1", self.port, timeout=20, context=self.trusts)
        return smtplib.SMTP("127.0.0.1", self.port, timeout=20)

    async def submit(self, key: str, mail: EmailMessage | bytes, *to: str, sender: str = SENDER):
        """(code, text) of the first refusal, or else of the reply to the message."""
        return await asyncio.to_thread(self._submit, key, mail, to or ("ada@a.example",), sender)

    def _submit(self, key, mail, to, sender):
        with self.client(key) as client:
            code, said = client.mail(sender)
            if code != 250:
                return code, said.decode()
            for one in to:
                code, said = client.rcpt(one)
                if code != 250:
                    return code, said.decode()
            raw = mail if isinstance(mail, bytes) else mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
            try:
                code, said = client.data(raw)
            except smtplib.SMTPDataError as error:
                code, said = error.smtp_code, error.smtp_error
            return code, said.decode()

    async def talk(self, *parts: bytes, seconds: float = 10) -> bytes:
        """All replies to `parts` until the connection ends; each part waits for a reply to the part
        before."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        heard = await reader.read(4096)
        try:
            async with asyncio.timeout(seconds):
                for part in parts[:-1]:
                    writer.write(part)
                    heard += await reader.read(4096)
                writer.write(parts[-1])
                while more := await reader.read(4096):
                    heard += more
        except ConnectionResetError:
            pass
        finally:
            writer.close()
        return heard


def plain(key: str) -> bytes:
    """AUTH PLAIN with a key."""
    return b"AUTH PLAIN " + b64encode(f"\0shop\0{key}".encode()) + b"\r\n"


@asynccontextmanager
async def posting(
    ledger: Ledger, files: Pair | None = None, implicit: bool = False, **options: object
) -> AsyncIterator[Post]:
    """Submission over `ledger` as long as the block lasts; in the clear without a certificate and its
    key."""
    certificate = tls_context(files.certificate, files.key) if files else None
    senders = senders_of_brands(Settings(submission_senders=str(options.pop("senders", ""))))
    types = options.pop("types", registered())
    intake = Intake(options.pop("written_to", ledger), types, senders)
    site = SubmissionContext(
        intake, Authenticator(ledger), certificate=certificate, in_the_clear=certificate is None,
        **{"most": 10_000_000, **options},
    )  # fmt: skip
    async with listening(site, SubmissionAddress("127.0.0.1", 0, implicit), asyncio.Event()) as found:
        trusts = ssl.create_default_context(cafile=str(files.certificate)) if files else None
        yield Post(ledger, found.port, trusts, implicit)
    await intake.close()
