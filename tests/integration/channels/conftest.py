"""Real servers on loopback, each with one behaviour to bend, and the channels that speak to them."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import ssl
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.flow_steps import SETTINGS
from uuid_utils.compat import uuid7

from waypost.channels.apprise.channel import AppriseChannel
from waypost.channels.maildir.channel import MaildirChannel
from waypost.channels.memory import MemoryChannel
from waypost.channels.smtp.channel import SmtpChannel
from waypost.channels.smtp.url import parse
from waypost.channels.webhook.channel import WebhookChannel
from waypost.delivery.runtime import Runtime
from waypost.model.notification import Message, Notification, ResolvedRecipient
from waypost.model.outcome import Phase
from waypost.model.priority import Priority
from waypost.net.webhook_url import parse as parse_webhook
from waypost.policy.classify import smtp as smtp_reply

SENDER = "no-reply@shop.example"


def letter(text="Hello", to="ada@a.example", channel="email", phone="+4917012345"):
    """A message whose content is `text`: as a short mail, or as it stands."""
    moment = datetime.now(UTC)
    person = ResolvedRecipient("ada", to, phone, "Ada", "en", "UTC")
    content = f"Subject: {len(text)}\r\n\r\n{text}\r\n" if channel == "email" else text
    return Message(
        Notification(uuid7(), "note", Priority.NORMAL, person, {}, 1, moment, moment + timedelta(hours=1)),
        channel,
        to if channel == "email" else phone or person.key,
        "A title",
        content.encode(),
    )


@dataclass
class MailServer:
    """A mail server: what to do otherwise than a good one does, and what it saw.

    bends: for GREETING, a verb, or DOT: the reply to give, or what to do with the session.
    """

    bends: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    implicit_tls: ssl.SSLContext | None = None
    taken: list = field(default_factory=list)  # envelopes answered 250
    heard: list = field(default_factory=list)  # every command, in order
    logins: list = field(default_factory=list)
    sessions: list = field(default_factory=list)
    most_open: int = 0
    port: int = 0
    password: bytes = b"right"
    pipelining: bool = False

    @property
    def open_sessions(self):
        return [session for session in self.sessions if not session.left]

    async def left(self):
        """Wait until nobody is connected."""
        async with asyncio.timeout(60):
            while self.open_sessions:
                await asyncio.sleep(0.005)

    @property
    def contents(self):
        return [envelope.original_content for envelope in self.taken]

    async def handle_DATA(self, session, _session, envelope):  # noqa: N802 - the name is aiosmtpd's
        if bend := self.bends.get("DOT"):
            return await bend(session) if callable(bend) else bend
        self.taken.append(envelope)
        session.taken += 1
        return "250 2.0.0 taken"

    async def handle_EHLO(self, _server, session, _envelope, name, offers):  # noqa: N802
        session.host_name = name
        return [*offers[:-1], "250-PIPELINING", offers[-1]] if self.pipelining else offers

    def authenticate(self, _server, _session, _envelope, mechanism, login):
        self.logins.append((mechanism, login.login, login.password))
        return AuthResult(success=login.password == self.password, handled=False)

    @asynccontextmanager
    async def running(self):
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(
            lambda: Session(self), "127.0.0.1", self.port, ssl=self.implicit_tls
        )
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listening.close()
            for session in self.sessions:
                if session.transport is not None:
                    session.transport.abort()
            await listening.wait_closed()


class Session(SMTP):
    """aiosmtpd, with its verbs bent as its server says."""

    def __init__(self, house):
        super().__init__(
            house,
            hostname="house.example",
            timeout=30,
            authenticator=house.authenticate,
            **{"enable_SMTPUTF8": False, **house.options},
        )
        self.house = house
        self.greeted = self.left = False
        self.taken = 0
        for verb in self._smtp_methods:
            self._smtp_methods[verb] = partial(self.hear, verb, self._smtp_methods[verb])

    def connection_made(self, transport):
        if self not in self.house.sessions:
            self.house.sessions.append(self)
        super().connection_made(transport)
        self.house.most_open = max(self.house.most_open, len(self.house.open_sessions))

    def eof_received(self):
        self.left = True
        return super().eof_received()

    def connection_lost(self, error):
        self.left = True
        super().connection_lost(error)

    async def hear(self, verb, usual, argument):
        self.house.heard.append(f"{verb} {argument or ''}".strip())
        bend = self.house.bends.get(verb)
        if bend is None:
            await usual(argument)
        elif isinstance(bend, str):
            await self.push(bend)
        elif await bend(self) is None:
            await usual(argument)

    async def push(self, status):
        if not self.greeted:
            self.greeted = True
            bend = self.house.bends.get("GREETING", status)
            status = bend if isinstance(bend, str) else await bend(self)
        if isinstance(status, str) and status.startswith("220 Ready to start TLS"):
            status += self.house.bends.get("INJECTED", "")
        await super().push(status)


@pytest.fixture
def pipelining():
    """Whether mail servers offer PIPELINING."""
    return False


@pytest.fixture
def mail_server(pipelining):
    return MailServer(pipelining=pipelining)


@pytest.fixture
async def smtp():
    """Start `server` and answer a channel that speaks to it; both are closed at the end."""
    async with AsyncExitStack() as stack:

        async def started(server, query="", login="", scheme="smtp", attempt_seconds=5.0, host="127.0.0.1"):
            if not server.port:
                await stack.enter_async_context(server.running())
            url = f"{scheme}://{login}{host}:{server.port}{query}"
            channel = SmtpChannel("smtp", parse(url), SENDER, attempt_seconds)
            stack.push_async_callback(channel.close)
            return channel

        yield started


@pytest.fixture
async def runtime_of(ledger):
    """Makes a process's runtime with these channels, and the terms of some; it is closed at the end."""
    async with AsyncExitStack() as stack:

        def make(*channels, **providers):
            settings = SETTINGS.model_copy(update={"providers": providers})
            runtime = Runtime(settings, ledger, list(channels))
            stack.push_async_callback(runtime.close)
            return runtime

        yield make


class Web:
    """A web service that takes short messages as JSON."""

    def __init__(self):
        self.status = 200
        self.says = b"no"
        self.hangs_up = False
        self.waits = 0.0
        self.posts = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                post = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(web.waits)
                if web.hangs_up:
                    return self.connection.close()
                if web.status == 200:
                    web.posts.append((self.path, post))
                self.send_response(web.status)
                self.send_header("Content-Length", str(len(web.says)))
                self.end_headers()
                return self.wfile.write(web.says)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    @contextmanager
    def running(self):
        thread = threading.Thread(target=partial(self._server.serve_forever, 0.01), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


@pytest.fixture
def web():
    with Web().running() as web:
        yield web


class MemoryRig:
    """The twin in memory."""

    channel_word = "email"
    refusal = "550 5.1.1 no such user"

    def __init__(self):
        self.channel = MemoryChannel(permits=3)

    def arrived(self):
        return [message.content for message in self.channel.sent]

    def refuse(self):
        self.channel.answer = lambda _: smtp_reply(550, "5.1.1 no such user", Phase.RCPT)

    def put_off(self):
        self.channel.answer = lambda _: smtp_reply(451, "4.7.1 later", Phase.RCPT)

    def go_down(self):
        self.channel.down = True


class SmtpRig:
    """A mail server."""

    channel_word = "email"
    refusal = "550 5.1.1 no such user"

    def __init__(self, server, channel):
        self.server = server
        self.channel = channel

    def arrived(self):
        return self.server.contents

    def refuse(self):
        self.server.bends["RCPT"] = "550 5.1.1 no such user"

    def put_off(self):
        self.server.bends["RCPT"] = "451 4.7.1 later"

    def go_down(self):
        self.server.bends["GREETING"] = "554 5.3.2 closed"


class AppriseRig:
    """A web service."""

    channel_word = "sms"
    refusal = "400"

    def __init__(self, web):
        self.web = web
        self.channel = AppriseChannel("apprise", "*", f"json://127.0.0.1:{web.port}/{{phone}}")

    def arrived(self):
        return [post["message"].encode() for _, post in self.web.posts]

    def refuse(self):
        self.web.status = 400

    def put_off(self):
        self.web.status = 503

    def go_down(self):
        self.channel = AppriseChannel("apprise", "*", "json://127.0.0.1:1/{phone}")


class WebhookRig:
    """The same web service, asked with a signature."""

    channel_word = "webhook"
    refusal = "400"

    def __init__(self, web):
        self.web = web
        self.channel = self._to(web.port)

    def _to(self, port):
        hook = parse_webhook(f"webhook+http://127.0.0.1:{port}/hook")
        return WebhookChannel("webhook", hook, [b"k" * 24], allow_private=True)

    def arrived(self):
        return [post["data"]["text"].encode() for _, post in self.web.posts]

    def refuse(self):
        self.web.status = 400

    def put_off(self):
        self.web.status = 503

    def go_down(self):
        self.channel = self._to(1)


class MaildirRig:
    """A folder. Of a disk's refusals and delays one message has to do with each."""

    channel_word = "email"
    refusal = "File too large"

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.channel = MaildirChannel("maildir", folder)

    def arrived(self):
        mails = sorted((self.folder / "new").glob("*"), key=lambda mail: mail.stat().st_mtime_ns)
        return [mail.read_bytes().replace(b"\n", b"\r\n") for mail in mails]

    def _fail_once(self, number):
        fsync = os.fsync

        def fail(descriptor):
            self.monkeypatch.setattr(os, "fsync", fsync)
            raise OSError(number, os.strerror(number))

        self.monkeypatch.setattr(os, "fsync", fail)

    def refuse(self):
        self._prepared()
        self._fail_once(errno.EFBIG)

    def put_off(self):
        self._prepared()
        self._fail_once(errno.ENOSPC)

    def _prepared(self):
        for part in ("tmp", "new", "cur"):
            (self.folder / part).mkdir(parents=True)

    def go_down(self):
        self.channel = MaildirChannel("maildir", self.folder / "nowhere" / "mails")


@pytest.fixture(params=["memory", "smtp", "apprise", "webhook", "maildir"])
async def rig(request, mail_server, smtp, web, tmp_path, monkeypatch):
    """Each kind of channel with what stands behind it."""
    match request.param:
        case "memory":
            rig = MemoryRig()
        case "smtp":
            rig = SmtpRig(mail_server, await smtp(mail_server, "?connections=3"))
        case "apprise":
            rig = AppriseRig(web)
        case "webhook":
            rig = WebhookRig(web)
        case _:
            rig = MaildirRig(tmp_path / "mails", monkeypatch)
    opened = rig.channel
    yield rig
    await opened.close()


class Authority:
    """A certificate authority of this test run's own."""

    def __init__(self, folder):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.ca = folder / "ca.pem"
        signs = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        root = self._certificate(self._name, self._key, x509.BasicConstraints(True, None), signs)
        self.ca.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def _certificate(self, subject, key, *extensions, valid_for=timedelta(days=1)):
        moment = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(moment - timedelta(days=2))
        builder = builder.not_valid_after(moment + valid_for)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        # Python 3.13 is strict about RFC 5280: both keys are to be named.
        ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        theirs = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(ours, critical=False).add_extension(theirs, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def server(self, name, valid_for=timedelta(days=1)):
        """What a server shows that says it is `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            told = x509.IPAddress(ip_address(name))
        except ValueError:
            told = x509.DNSName(name)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        shown = self._certificate(subject, key, x509.SubjectAlternativeName([told]), valid_for=valid_for)
        both = self._folder / f"{name}.pem"
        both.write_bytes(
            shown.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def write():
    """A letter."""
    return letter


@pytest.fixture
def bent(pipelining):
    """A mail server with these bends."""
    return lambda **bends: MailServer(bends=bends, pipelining=pipelining)


@pytest.fixture
def secured(authority, pipelining):
    """A mail server that offers STARTTLS, or speaks TLS from the first byte."""

    def make(name="127.0.0.1", implicit=False, valid_for=timedelta(days=1), **bends):
        context = authority.server(name, valid_for)
        if implicit:
            options, spoken = {"auth_require_tls": False}, context
        else:
            options, spoken = {"tls_context": context, "require_starttls": True}, None
        return MailServer(bends=bends, options=options, implicit_tls=spoken, pipelining=pipelining)

    return make
