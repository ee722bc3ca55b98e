"""Sends as a run does, with a place taken first."""

from __future__ import annotations

from waypost.channels.channel import Channel
from waypost.model.notification import Message
from waypost.model.outcome import Outcome


async def offer(channel: Channel, message: Message) -> Outcome:
    """Wait for a place, and send."""
    await channel.permits.acquire()
    try:
        return await channel.send(message)
    finally:
        channel.permits.release()
