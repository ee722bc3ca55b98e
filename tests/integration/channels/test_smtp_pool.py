"""Connections come and go with what there is to send."""

import asyncio

import pytest
from support.smtp_faults import silence

from waypost.model.outcome import Verdict

pytestmark = pytest.mark.anyio

ACCEPTED = Verdict.ACCEPTED


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_connection_takes_its_share_of_messages_and_says_goodbye(mail_server, smtp, write):
    channel = await smtp(mail_server, "?connections=1&messages=3")
    for number in range(7):
        assert (await channel.send(write(f"{number}"))).verdict is ACCEPTED
    await until(lambda: mail_server.heard.count("QUIT") == 2)
    assert [session.taken for session in mail_server.sessions] == [3, 3, 1]


async def test_nobody_waits_for_the_goodbye(bent, smtp, write):
    server = bent(QUIT=silence)
    channel = await smtp(server, "?connections=1&messages=1")
    async with asyncio.timeout(1):
        assert [(await channel.send(write())).verdict for _ in range(5)] == [ACCEPTED] * 5
    for session in server.sessions:
        session.transport.abort()


async def test_a_burst_opens_connections_and_the_quiet_after_it_closes_them(bent, smtp, write):
    async def slow(_session):
        await asyncio.sleep(0.01)

    server = bent(RCPT=slow)
    channel = await smtp(server, "?connections=6&idle=1")
    await channel.send(write())
    assert server.most_open == 1
    await asyncio.gather(*(channel.send(write(f"{n}")) for n in range(6)))
    assert server.most_open == 6

    async def trickle():
        while len(server.open_sessions) > 1:
            await channel.send(write())
            await asyncio.sleep(0.05)

    await asyncio.wait_for(trickle(), 4)
    await until(lambda: not server.open_sessions)
    assert server.heard.count("QUIT") == len(server.sessions) == 6
    assert (await channel.send(write())).verdict is ACCEPTED
