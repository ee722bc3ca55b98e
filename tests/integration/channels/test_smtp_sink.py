"""Postfix's smtp-sink, told to fail at each command in each of its ways."""

import asyncio
import os
import shutil
import socket
from contextlib import asynccontextmanager

import pytest

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.smtp.channel import SmtpChannel
from waypost.channels.smtp.url import parse
from waypost.model.outcome import Verdict

SINK = shutil.which("smtp-sink") or shutil.which("smtp-sink", path="/usr/sbin")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(  # in CI they fail without it
        SINK is None and not os.environ.get("CI"),
        reason="smtp-sink comes with postfix, which is not installed",
    ),
]


@asynccontextmanager
async def sink(*flags):
    """smtp-sink with `flags`; yields its port once it listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    rights = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(SINK, *rights, *flags, f"127.0.0.1:{port}", "20")
    try:
        async with asyncio.timeout(60):
            while not _listens(port):
                await asyncio.sleep(0.01)
        yield port
    finally:
        process.kill()
        await process.wait()


def _listens(port):
    """Looked up rather than tried: a sink that drops connections would count the trial."""
    with open("/proc/net/tcp") as table:
        return any(f":{port:04X} 00000000:0000 0A" in line for line in table)


async def outcome_of(message, *flags, attempt_seconds=5.0, opened=False):
    """What becomes of a message; a second one at once after it is to fare the same, unless time is short."""
    async with sink(*flags) as port:
        channel = SmtpChannel("smtp", parse(f"smtp://127.0.0.1:{port}"), "a@b.example", attempt_seconds)
        try:
            if opened:
                await channel.open()
            told = await _told(channel, message)
            assert attempt_seconds < 1 or await _told(channel, message) == told
        finally:
            await channel.close()
    return told


async def _told(channel, message):
    try:
        outcome = await channel.send(message)
    except ChannelUnavailable:
        return "unavailable"
    return f"{outcome.verdict} {outcome.phase}"


REFUSES = {
    "CONNECT": "unavailable",
    "EHLO,HELO": "unavailable",
    "EHLO": "accepted dot",
    "MAIL": "{} mail",
    "RCPT": "{} rcpt",
    "DATA": "{} data",
    ".": "{} dot",
    "RSET": "accepted dot",
    "QUIT": "accepted dot",
}
DROPS = {**REFUSES, "EHLO": "unavailable"}


def every_way():
    for flag, verdict, modes in (
        ("-f", Verdict.REFUSED, REFUSES),
        ("-r", Verdict.DEFERRED, REFUSES),
        ("-q", Verdict.DEFERRED, DROPS),
        ("-Q", Verdict.DEFERRED, DROPS),
    ):
        for commands, expected in modes.items():
            late = flag == "-r" and commands == "EHLO"  # 4xx: no reason to try HELO
            lost = flag == "-q" and commands == "."
            said = "unavailable" if late else "unknown dot" if lost else expected
            yield flag, commands, said.format(verdict)


@pytest.mark.parametrize(("flag", "commands", "expected"), list(every_way()))
async def test_every_way_to_fail_has_one_meaning(write, flag, commands, expected):
    assert await outcome_of(write(), flag, commands) == expected


PHASES = {"CONNECT": "connect", "EHLO": "connect", "MAIL": "mail", "RCPT": "rcpt", "DATA": "data"}


@pytest.mark.parametrize("command", [*PHASES, "."])
async def test_every_stall_has_one_meaning(write, command):
    expected = f"deferred {PHASES[command]}" if command in PHASES else "unknown dot"
    opened = not expected.endswith("connect")
    flags = ["-p", "-W", f"{command}:3"]
    assert await outcome_of(write(), *flags, attempt_seconds=0.1, opened=opened) == expected


@pytest.mark.parametrize(("command", "expected"), [("DATA", "deferred mail"), (".", "unknown dot")])
async def test_answers_to_what_was_pipelined_come_together(write, command, expected):
    assert await outcome_of(write(), "-W", f"{command}:3", attempt_seconds=0.1, opened=True) == expected


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
async def test_a_server_that_answers_what_was_pipelined_in_disorder_gets_it_one_by_one(write, command):
    """With a delay smtp-sink answers the command after it first: 503."""
    assert await outcome_of(write(), "-W", f"{command}:1", attempt_seconds=5) == "accepted dot"


@pytest.mark.parametrize("plain", [[], ["-p"]], ids=["pipelined", "one by one"])
async def test_a_server_that_refuses_before_the_message_has_come_refuses(write, plain):
    async with sink("-A", "0", *plain) as port:
        channel = SmtpChannel("smtp", parse(f"smtp://127.0.0.1:{port}"), "a@b.example")
        outcomes = [await channel.send(write("x" * 900)) for _ in range(3)]
        await channel.close()
    assert {outcome.verdict for outcome in outcomes} == {Verdict.REFUSED}


@pytest.mark.parametrize("flags", [["-e"], ["-p"], ["-8", "-E", "-F", "-N"]], ids=" ".join)
async def test_a_server_that_offers_less_takes_it_too(write, flags):
    assert await outcome_of(write(), *flags) == "accepted dot"
