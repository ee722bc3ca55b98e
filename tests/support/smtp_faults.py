"""Faults of a mail server; each function gets the server's session."""

import asyncio


async def drop(session):
    """Abort the connection without a reply."""
    session.transport.abort()
    await asyncio.sleep(60)


async def hang_up(session):
    """Close the connection in order, without a reply."""
    session.transport.close()
    await asyncio.sleep(60)


async def silence(_session):
    await asyncio.sleep(60)


def saying(*lines, then=None):
    """Write `lines` as they are, then do `then`."""

    async def bend(session):
        for line in lines:
            session._writer.write(line)
        if then:
            await then(session)
        await asyncio.sleep(60)

    return bend


def once(bend):
    """Misbehave the first time only."""
    left = [bend]

    async def bent_once(session):
        if not left:
            return None
        first = left.pop()
        if callable(first):
            return await first(session)
        await session.push(first)
        return "said"

    return bent_once


def waiting_for_a_message(reply, heard):
    """Answer DATA with 354 in any case, record what follows up to its dot, then reply `reply`."""

    async def bend(session):
        await session.push("354 go on")
        lines = []
        while lines[-1:] != [b".\r\n"]:
            line = await session._reader.readline()
            lines.append(line)
        heard.append(b"".join(lines))
        await session.push(reply)
        return "said"

    return bend


async def deaf(session):
    """Lose what came after a command, as a server that empties its buffer does."""
    await asyncio.sleep(0.01)
    session._reader._buffer.clear()


async def offended(session):
    """Abort the connection of a client that does not wait for a reply."""
    await asyncio.sleep(0.01)
    if session._reader._buffer:
        await drop(session)
