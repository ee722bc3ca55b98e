"""Who may submit, from whom, and what is never said in the clear."""

from __future__ import annotations

import asyncio
import smtplib
import time
from base64 import b64encode
from email import policy

import pytest
from support.certificates import self_signed
from support.ledger import rows
from support.smtp_submission import SENDER, letter, plain, posting

from waypost.ledger import open_ledger
from waypost.ledger.records import api_keys

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_mail_comes_in_by_tls(ledger, files, implicit):
    async with posting(ledger, files, implicit) as post:
        assert (await post.submit(await post.key(), letter()))[0] == 250
    assert len(await rows(ledger)) == 1


async def test_a_key_is_neither_asked_for_nor_taken_in_the_clear(ledger, files):
    async with posting(ledger, files) as post:
        heard = await post.talk(
            b"EHLO app\r\n", plain(await post.key()), b"AUTH LOGIN\r\n", f"MAIL FROM:<{SENDER}>\r\n".encode(),
            b"QUIT\r\n",
        )  # fmt: skip
    assert b"250 STARTTLS\r\n" in heard
    assert b"AUTH" not in heard.partition(b"250 STARTTLS")[0]
    assert [line[:10] for line in heard.splitlines()[-4:]] == [
        b"538 5.7.11", b"538 5.7.11", b"530 5.7.0 ", b"221 2.0.0 ",
    ]  # fmt: skip


@pytest.mark.parametrize("together", [True, False])
async def test_what_was_put_in_after_starttls_is_never_obeyed(ledger, files, together):
    """CVE-2011-0411: whoever sits in between sends commands that would be taken for the client's own."""
    async with posting(ledger, files) as post:
        reader, writer = await asyncio.open_connection("127.0.0.1", post.port)
        await reader.readline()
        injected = b"EHLO evil\r\nNOOP\r\nRSET\r\n"
        writer.write(b"STARTTLS\r\n" + (injected if together else b""))
        assert (await reader.readline()).startswith(b"220")
        if not together:  # it cannot be a handshake either
            writer.write(injected)
            assert await reader.read() == b"" or reader.at_eof()
            writer.close()
            return
        await writer.start_tls(post.trusts, server_hostname="127.0.0.1")
        writer.write(b"MAIL FROM:<x@waypost.example>\r\nEHLO app\r\n")
        assert (await reader.readline()).startswith(
            b"503 5.5.1 send EHLO first"
        )  # the evil EHLO left nothing
        assert (await reader.readline()) == b"250-waypost\r\n"
        writer.close()


async def test_tls_is_begun_once_and_forgets_what_was_said_before(ledger, files):
    async with posting(ledger, files) as post:
        text = await post.key()

        def session():
            with post.client(text) as client:
                assert "starttls" not in client.esmtp_features
                return client.docmd("STARTTLS"), client.docmd("AUTH", "PLAIN")

        again, known = await asyncio.to_thread(session)
        assert again == (503, b"5.5.1 TLS is already active")
        assert known == (503, b"5.5.1 already authenticated")


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        ([b"AUTH LOGIN\r\n", b"c2hvcA==\r\n", b"{key}\r\n"], b"235"),
        ([b"AUTH LOGIN c2hvcA==\r\n", b"{key}\r\n"], b"235"),
        ([b"auth login =\r\n", b"{key}\r\n"], b"235"),
        ([b"AUTH PLAIN\r\n", b"{plain}\r\n"], b"235"),
        ([b"auth plain {plain}\r\n"], b"235"),
        ([b"AUTH PLAIN {key}\r\n"], b"535"),
        ([b"AUTH PLAIN\r\n", b"*\r\n"], b"501 5.7.0"),
        ([b"AUTH PLAIN not base64\r\n"], b"501 5.5.2"),
        ([b"AUTH PLAIN /w==\r\n"], b"501 5.5.2"),
        ([b"AUTH LOGIN\r\n", b"c2hvcA==\r\n", b"c2hvcA==\r\n"], b"535"),
        ([b"AUTH CRAM-MD5\r\n"], b"504"),
        ([b"AUTH\r\n"], b"504"),
    ],
)
async def test_ways_to_show_a_key(post, key, lines, last):
    known = {
        b"{key}": b64encode(key.encode()),
        b"{plain}": b64encode(f"\0anything\0{key}".encode()),
    }
    for name, value in known.items():
        lines = [line.replace(name, value) for line in lines]
    heard = await post.talk(b"EHLO app\r\n", *lines, b"QUIT\r\n")
    assert heard.splitlines()[-2].startswith(last), heard


async def test_a_wrong_key_is_refused_and_the_third_ends_the_session(post, key):
    wrong = plain(key[:-3] + "xyz")
    heard = await post.talk(b"EHLO app\r\n", wrong, plain("secret"), wrong, b"NOOP\r\n")
    assert [line[:3] for line in heard.splitlines()[-3:]] == [b"535", b"535", b"421"]
    assert key.split("_", 2)[2].encode() not in heard


async def test_a_revoked_key_opens_nothing_though_its_session_lasts(post, key):
    def twice():
        with post.client(key) as client:
            assert client.send_message(letter(), SENDER) == {}
            asyncio.run_coroutine_threadsafe(api_keys.end(post.ledger, key.split("_")[1]), loop).result()
            time.sleep(0.6)
            return client.mail(SENDER)

    loop = asyncio.get_running_loop()
    assert (await asyncio.to_thread(twice))[0] == 535
    assert len(await rows(post.ledger)) == 1


async def test_a_key_that_is_revoked_while_its_mail_comes_gets_nothing_in(post, key):
    def slowly():
        with post.client(key) as client:
            assert [client.mail(SENDER)[0], client.rcpt("ada@a.example")[0]] == [250, 250]
            assert client.docmd("DATA")[0] == 354
            asyncio.run_coroutine_threadsafe(api_keys.end(post.ledger, key.split("_")[1]), loop).result()
            time.sleep(0.6)
            client.send(letter().as_bytes(policy=policy.SMTP) + b"\r\n.\r\n")
            return client.getreply()

    loop = asyncio.get_running_loop()
    assert (await asyncio.to_thread(slowly))[0] == 535
    assert await rows(post.ledger) == []


@pytest.mark.parametrize(
    ("scopes", "headers", "code"),
    [
        (["read"], {}, 550),
        (["send:alert"], {}, 550),
        (["send:message"], {}, 250),
        (["send:message"], {"X_Waypost_Type": "alert", "X_Waypost_Data": "{}"}, 550),
        (["send"], {}, 250),
    ],
)
async def test_what_a_key_may_send(post, scopes, headers, code):
    found, said = await post.submit(await post.key("shop", *scopes), letter(**headers))
    assert found == code, said
    assert len(await rows(post.ledger)) == (code == 250)


@pytest.mark.parametrize(
    ("envelope", "headers", "code"),
    [
        (SENDER, {}, 250),
        ("billing@waypost.example", {"From": "Billing <other@WAYPOST.example>"}, 250),
        ("one@other.example", {"From": "one@other.example", "Sender": SENDER}, 250),
        ("two@other.example", {}, 550),
        ("", {}, 550),
        (SENDER, {"From": "boss@evil.example"}, 550),
        (SENDER, {"From": "boss@waypost.example.evil.example"}, 550),
        (SENDER, {"From": '"no-reply@waypost.example" <boss@evil.example>'}, 550),
        (SENDER, {"Sender": "boss@evil.example"}, 550),
        (SENDER, {"From": f"boss@evil.example, {SENDER}"}, 554),
    ],
)
async def test_whom_a_mail_may_be_from(ledger, envelope, headers, code):
    async with posting(ledger, senders="one@other.example") as post:
        found, said = await post.submit(await post.key(), letter(**headers), sender=envelope)
    assert (found, said[:5]) == (code, {250: "2.0.0", 550: "5.7.1", 554: "5.6.0"}[code])
    assert len(await rows(ledger)) == (code == 250)


async def test_more_than_a_keys_rate_is_for_later(post):
    text = await post.key(rate=1)
    said = [await post.submit(text, letter(Message_ID=f"<{number}@x>")) for number in range(2)]
    assert [code for code, _ in said] == [250, 451]
    assert said[1][1].startswith("4.7.1 rate limit of shop exceeded (1 requests a second)")
    assert len(await rows(post.ledger)) == 1


async def test_without_a_ledger_it_is_for_later(ledger):
    away = open_ledger("sqlite:////nowhere/at/all/ledger.db")
    async with posting(ledger, written_to=away) as post:
        text = await post.key()
        for to in (["ada@a.example"], ["ada@a.example", "bob@a.example"]):
            code, said = await post.submit(text, letter(), *to)
            assert (code, said[:25]) == (451, "4.3.0 the ledger does not")


async def test_without_keys_to_look_at_it_is_for_later(ledger):
    away = open_ledger("sqlite:////nowhere/at/all/ledger.db")
    async with posting(away) as post:
        heard = await post.talk(b"EHLO app\r\n", plain(f"wp_{'a' * 12}_{'b' * 43}"), b"QUIT\r\n")
    assert b"454 4.7.0" in heard


async def test_smtplib_says_who_was_refused(post, key):
    def send():
        with post.client(key) as client:
            return client.sendmail(SENDER, ["ada@a.example", "nobody"], letter().as_string())

    assert (await asyncio.to_thread(send))["nobody"][0] == 553
    with pytest.raises(smtplib.SMTPAuthenticationError):
        await post.submit("wp_none", letter())
