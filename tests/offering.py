"""Sending as a run does: with a place taken first."""

from __future__ import annotations

from waypost.channels import Channel
from waypost.notification import Message
from waypost.outcome import Outcome


async def offer(channel: Channel, message: Message) -> Outcome:
    """Wait for a place, and send."""
    await channel.places.take()
    try:
        return await channel.send(message)
    finally:
        channel.places.give_back()
