"""Bytes as an attacker sends them: nothing is smuggled, nothing waits for ever, everything has a limit."""

from __future__ import annotations

import asyncio

import pytest
from support.ledger import rows
from support.smtp_submission import SENDER, letter, plain, posting

from waypost.gateway.smtp import server, session
from waypost.gateway.smtp.context import MAILS_AT_ONCE, Patience

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]

HEAD = f"From: {SENDER}\r\nSubject: x\r\n\r\n".encode()
MAIL = f"MAIL FROM:<{SENDER}>\r\n".encode()
RCPT = b"RCPT TO:<ada@a.example>\r\n"
SMUGGLED = MAIL + b"RCPT TO:<victim@a.example>\r\nDATA\r\n" + HEAD + b"smuggled\r\n.\r\n"


def until_data(key):
    return b"EHLO app\r\n", plain(key), MAIL + RCPT + b"DATA\r\n"


@pytest.mark.parametrize(
    "ending",
    [
        b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n\n.\r\n", b"\r\r\n.\r\n",
        b"\r\n.\r\r\n", b"\n\n.\n\n", b"\r\n\x00.\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut", [False, True])
async def test_no_end_but_the_right_one_ends_a_mail_and_nothing_is_smuggled(post, key, ending, cut):
    content = HEAD + b"first" + ending
    reader, writer = await asyncio.open_connection("127.0.0.1", post.port)
    for part in until_data(key):
        await reader.read(4096)
        writer.write(part)
    heard = b""
    while b"354" not in heard:
        heard += await reader.read(4096)
    # Every byte by itself, or all at once with what is to be smuggled.
    for piece in [content[at : at + 1] for at in range(len(content))] if cut else [content]:
        writer.write(piece)
        if cut:
            await asyncio.sleep(0)
    writer.write(SMUGGLED)
    async with asyncio.timeout(60):
        said = await reader.read()
    writer.close()
    assert said.startswith(b"550 5.5.2 bare CR or LF"), said
    assert said.count(b"\r\n") == 1
    assert await rows(post.ledger) == []


@pytest.mark.parametrize(
    "command", [b"EHLO app\n", b"EHLO app\r", b"NOOP\nEHLO app\r\n", b"NO\rOP\r\n", b"\n", b"\r\r\n"]
)
async def test_no_command_ends_otherwise_either(post, command):
    heard = await post.talk(command + b"NOOP\r\n")
    assert heard.splitlines()[1].startswith(b"550 5.5.2")
    assert len(heard.splitlines()) == 2


async def test_what_came_before_the_fault_is_answered(post, key):
    *before, data = until_data(key)
    heard = await post.talk(
        *before, data, HEAD + b"whole\r\n.\r\n" + MAIL + b"RCPT TO:<bob@a.example>\n" + SMUGGLED
    )
    assert [line[:9] for line in heard.splitlines()[-3:]] == [b"250 2.0.0", b"250 2.0.0", b"550 5.5.2"]
    ada = await post.ledger.stored_key("mailto:ada@a.example")
    assert [row.recipient_key for row in await rows(post.ledger)] == [ada]


async def test_dots_in_front_are_the_clients_own_business(post, key):
    body = b"..\r\n...two\r\n.\r.\r\n".replace(b"\r.", b"") + b"..one\r\n"
    await post.talk(*until_data(key), HEAD + body + b".\r\nQUIT\r\n")
    [row] = await rows(post.ledger)
    assert row.data["mime"].partition("\r\n\r\n")[2] == ".\r\n..two\r\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b".\r\n", b"554 5.6.0 From is missing"),
        (b"\r\n.\r\n", b"554 5.6.0 From is missing"),
        (b"no header\r\n.\r\n", b"554 5.6.0 field 1"),
        (HEAD.replace(b"Subject", b"From") + b".\r\n", b"554 5.6.0 it has from twice"),
        (HEAD.replace(b"x", b"\xff") + b".\r\n", b"554 5.6.0 its header has non-ASCII letters"),
        (HEAD.replace(b": x", b": \0") + b".\r\n", b"554 5.6.0 it contains a NUL"),
        (HEAD + b"\0\r\n.\r\n", b"554 5.6.0 it contains a NUL"),
        (HEAD + b"x" * 998 + b"\r\n.\r\n", b"250 "),
        (HEAD + b"x" * 999 + b"\r\n.\r\n", b"554 5.6.0 a line is longer"),
        (HEAD + b"x" * 70_000 + b"\r\n.\r\n", b"554 5.6.0 a line is longer"),
        (HEAD + b"\xe4\r\n.\r\n", b"250 "),
        (b"From: " + b"x" * 300 + b"@waypost.example\r\n\r\n.\r\n", b"554 5.6.0 From"),
        (b"From: <<\r\n\r\n.\r\n", b"554 5.6.0 From"),
        (b"X: \xff" + HEAD + b".\r\n", b"554 5.6.0 its header"),
    ],
)
async def test_what_a_mail_may_hold(post, key, content, code):
    heard = await post.talk(*until_data(key), content + b"QUIT\r\n")
    assert heard.splitlines()[-2].startswith(code), heard
    assert len(await rows(post.ledger)) == (code == b"250 ")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"", b"500 5.5.1"),
        (b"GET / HTTP/1.1", b"500 5.5.1"),
        (b"BDAT 5 LAST", b"500 5.5.1"),
        (b"\xff\xfe", b"500 5.5.1"),
        (b"NOOP \xff", b"501 5.5.2"),
        (b"EHLO", b"501 5.5.4"),
        (b"RCPT TO:<ada@a.example>", b"503 5.5.1"),
        (b"DATA", b"503 5.5.1"),
        (b"STARTTLS", b"502 5.5.1"),
        (b"STARTTLS now", b"501 5.5.4"),
        (b"MAIL", b"501 5.5.4"),
        (b"MAIL FROM:no-reply@waypost.example", b"501 5.5.4"),
        (b"MAIL FROM:<", b"501 5.5.4"),
        (b"MAIL FROM:<>", b"550 5.7.1"),
        (b"MAIL FROM:<no-reply@waypost.example> SIZE=x", b"501 5.5.4"),
        (b"MAIL FROM:<no-reply@waypost.example> SIZE=" + b"9" * 30, b"501 5.5.4"),
        (b"MAIL FROM:<no-reply@waypost.example> SIZE=10000001", b"552 5.3.4"),
        (b"MAIL FROM:<no-reply@waypost.example> BODY=BINARYMIME", b"501 5.5.4"),
        (b"MAIL FROM:<no-reply@waypost.example> SMTPUTF8", b"555 5.5.4"),
        (b"MAIL FROM:<no-reply@waypost.example> AUTH=<> BODY=8bitmime SIZE=1", b"250 2.0.0"),
        (b"mail from: <@a,@b:no-reply@waypost.example>", b"250 2.0.0"),
        (b"VRFY ada", b"252"),
        (b"RSET", b"250"),
    ],
)
async def test_commands_that_are_wrong_are_told_and_the_session_goes_on(post, key, command, code):
    heard = await post.talk(b"EHLO app\r\n", plain(key), command + b"\r\n", b"QUIT\r\n")
    assert heard.splitlines()[-2].startswith(code), heard
    assert heard.splitlines()[-1].startswith(b"221")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"<>", b"553"),
        (b"<ada>", b"553"),
        (b"<ada@a.example,bob@a.example>", b"553"),
        (b"<ada@a.example>,<bob@a.example>", b"501"),
        (b"<ada@[127.0.0.1]>", b"553"),
        (b"<" + b"x" * 400 + b"@a.example>", b"553"),
        (b"<ada@a.example> NOTIFY=NEVER", b"555"),
        (b"ada@a.example", b"501"),
        (b"<ada@a.example", b"501"),
    ],
)
async def test_recipients_that_are_none(post, key, path, code):
    heard = await post.talk(b"EHLO app\r\n", plain(key), MAIL, b"RCPT TO:" + path + b"\r\n", b"QUIT\r\n")
    assert heard.splitlines()[-2].startswith(code), heard


async def test_a_mail_before_its_turn_needs_what_comes_first(post, key):
    heard = await post.talk(MAIL, b"EHLO app\r\n", MAIL, plain(key), MAIL, MAIL, b"QUIT\r\n")
    codes = [line[:3] for line in heard.splitlines() if not line.startswith((b"220", b"250-", b"250 AUTH"))]
    assert codes == [b"503", b"530", b"235", b"250", b"503", b"221"]


async def test_a_mail_that_is_too_large_is_read_to_its_end_and_the_session_goes_on(ledger):
    async with posting(ledger, most=2000) as post:
        text = await post.key()
        line = b"x" * 98 + b"\r\n"
        over = HEAD + line * 2000 + b".\r\n"
        heard = await post.talk(*until_data(text), over + MAIL + RCPT + b"DATA\r\n" + HEAD + b".\r\nQUIT\r\n")
    assert [one[:9] for one in heard.splitlines()[-6:]] == [
        b"552 5.3.4", b"250 2.0.0", b"250 2.0.0", b"354 send ", b"250 2.0.0", b"221 2.0.0",
    ]  # fmt: skip
    assert len(await rows(ledger)) == 1


async def test_a_hundred_recipients_are_enough(post, key):
    many = b"".join(b"RCPT TO:<r%d@a.example>\r\n" % number for number in range(102))
    heard = await post.talk(b"EHLO app\r\n", plain(key), MAIL + many + b"DATA\r\n" + HEAD + b".\r\nQUIT\r\n")
    assert heard.count(b"452 4.5.3") == 2
    assert heard.count(b"250 2.0.0 accepted as") + heard.count(b"250-2.0.0 accepted as") == 100
    assert len(await rows(post.ledger)) == 100


async def test_a_large_mail_is_not_kept_a_hundred_times(post, key):
    content = b"x" * 76 + b"\r\n"
    large = HEAD + content * 12_000
    code, said = await post.submit(key, large, *(f"r{number}@a.example" for number in range(60)))
    assert (code, said[:20]) == (552, "5.3.4 mail too large")
    foretold = MAIL.replace(b">", b"> SIZE=9000000") + b"".join(
        b"RCPT TO:<r%d@a.example>\r\n" % number for number in range(6)
    )
    heard = await post.talk(b"EHLO app\r\n", plain(key), foretold + b"QUIT\r\n")
    assert heard.count(b"452 4.5.3") == 1
    assert await rows(post.ledger) == []


async def test_a_mail_of_the_size_there_may_be_is_taken(post, key):
    large = HEAD + (b"x" * 76 + b"\r\n") * 128_000
    code, said = await post.submit(key, large)
    assert code == 250, said
    [row] = await rows(post.ledger)
    assert row.data["mime"].encode() == large


async def test_a_command_without_an_end_is_cut_off(post):
    assert (await post.talk(b"X" * 5000)).splitlines()[-1].startswith(b"500 5.5.2")
    assert (await post.talk(b"NOOP " + b"x" * 5000 + b"\r\n")).splitlines()[-1].startswith(b"500 5.5.2")


async def test_whoever_says_nothing_right_is_left(post):
    heard = await post.talk(b"WHAT\r\n" * 100)
    assert heard.count(b"500 5.5.1") == session.MOST_FAULTS
    assert heard.splitlines()[-1].startswith(b"421 4.7.0")


@pytest.mark.parametrize("how", ["silent", "without a key", "in a command", "in a mail"])
async def test_whoever_is_slow_is_left(ledger, how):
    patience = Patience(stranger=0.5, command=0.5, mail=0.5)
    async with posting(ledger, patience=patience) as post:
        parts = {
            "silent": (b"",),
            "without a key": (b"EHLO app\r\n", b"NOOP\r\n"),
            "in a command": (b"EHLO app\r\n", plain(await post.key()), b"MAI"),
            "in a mail": (*until_data(await post.key()), HEAD + b"and then"),
        }[how]
        heard = await post.talk(*parts, seconds=5)
    assert heard.splitlines()[-1].startswith(b"421 4.4.2"), heard
    assert await rows(ledger) == []


async def test_who_has_shown_no_key_gives_way_to_who_comes(post, monkeypatch):
    monkeypatch.setattr(server, "MOST_SESSIONS", 3)
    opened = []
    for _ in range(5):
        opened.append(await asyncio.open_connection("127.0.0.1", post.port))
        assert (await opened[-1][0].readline()).startswith(b"220")
    async with asyncio.timeout(60):
        for reader, _ in opened[:2]:
            assert (await reader.read()).startswith(b"421 4.3.2 too many sessions")
    for reader, writer in opened[2:]:
        writer.write(b"NOOP\r\n")
        assert (await reader.readline()).startswith(b"250")
        writer.close()


async def test_more_sessions_than_there_may_be_are_for_later(post, key, monkeypatch):
    monkeypatch.setattr(server, "MOST_SESSIONS", 3)
    opened = [await asyncio.open_connection("127.0.0.1", post.port) for _ in range(3)]
    for reader, writer in opened:
        writer.write(b"EHLO app\r\n" + plain(key))
        while not (await reader.readline()).startswith(b"235"):
            pass
    assert (await post.talk(b"NOOP\r\n")).startswith(b"421 4.3.2")
    opened.pop()[1].close()
    await asyncio.sleep(0.1)
    assert (await post.talk(b"QUIT\r\n")).startswith(b"220")
    for _, writer in opened:
        writer.close()


async def test_more_mails_than_there_is_room_for_are_for_later(ledger):
    patience = Patience(room=0.2)
    async with posting(ledger, patience=patience, memory=asyncio.Semaphore(1)) as post:
        text = await post.key()
        reader, writer = await asyncio.open_connection("127.0.0.1", post.port)
        writer.write(b"".join(until_data(text)))
        while not (await reader.readline()).startswith(b"354"):
            pass
        heard = await post.talk(*until_data(text), b"QUIT\r\n")
        assert b"451 4.3.0 too many mails at once" in heard
        writer.write(HEAD + b".\r\n")
        assert (await reader.readline()).startswith(b"250")
        assert (await post.submit(text, letter()))[0] == 250
        writer.close()


async def test_mails_of_one_key_that_do_not_come_to_an_end_leave_room_for_others(ledger):
    async with posting(ledger, patience=Patience(room=0.2)) as post:
        slow, other = await post.key("slow"), await post.key("other")
        opened = []
        for _ in range(MAILS_AT_ONCE // 4):
            reader, writer = await asyncio.open_connection("127.0.0.1", post.port)
            writer.write(b"".join(until_data(slow)))
            while not (await reader.readline()).startswith(b"354"):
                pass
            opened.append(writer)
        assert (await post.submit(slow, letter()))[0] == 451
        assert (await post.submit(other, letter()))[0] == 250
        for writer in opened:
            writer.close()


async def test_at_a_stop_the_idle_are_told_and_what_is_under_way_is_answered(ledger):
    async with posting(ledger) as post:
        text = await post.key()
        idle, busy = [await asyncio.open_connection("127.0.0.1", post.port) for _ in range(2)]
        busy[1].write(b"".join(until_data(text)))
        while not (await busy[0].readline()).startswith(b"354"):
            pass
        busy[1].write(HEAD + b".\r\n")
        await asyncio.sleep(0.05)
    assert (await idle[0].read()).splitlines()[-1].startswith(b"421 4.3.2")
    assert [line[:9] for line in (await busy[0].read()).splitlines()] == [b"250 2.0.0", b"421 4.3.2"]
    assert len(await rows(ledger)) == 1
    for _, writer in (idle, busy):
        writer.close()
