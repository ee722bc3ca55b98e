"""What a mail server may do instead of what is asked of it; each is given its session."""

import asyncio


async def drop(session):
    """Hang up without a word."""
    session.transport.abort()
    await asyncio.sleep(60)


async def hang_up(session):
    """Hang up in order."""
    session.transport.close()
    await asyncio.sleep(60)


async def silence(_session):
    await asyncio.sleep(60)


def saying(*lines, then=None):
    """Say `lines` as they stand, then do `then`."""

    async def bend(session):
        for line in lines:
            session._writer.write(line)
        if then:
            await then(session)
        await asyncio.sleep(60)

    return bend


def once(bend):
    """Be bent the first time, good from then on."""
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
    """Answer DATA 354 whatever came before, note what follows up to its dot, then say `reply`."""

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
    """Lose what came behind a command, as a server does that empties its buffer."""
    await asyncio.sleep(0.01)
    session._reader._buffer.clear()


async def offended(session):
    """Hang up on whoever does not wait for an answer."""
    await asyncio.sleep(0.01)
    if session._reader._buffer:
        await drop(session)
