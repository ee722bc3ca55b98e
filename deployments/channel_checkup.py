"""The check of one provider behind `waypost doctor`."""

from __future__ import annotations

from waypost.channels import Channel, ChannelUnavailable, Introduced, Untried, blame
from waypost.finding import Finding
from waypost.mail.address import mask_in

_ASK_PROVIDER = "ask the mail server's operator, or see its documentation, for this reply"
_ADVICE = {
    blame.NAME: "add helo= to the server's URL, with a full name that DNS knows",
    blame.LOGIN: "correct the user name and password in the server's URL",
    blame.SENDER: "set WAYPOST_SENDER to an address that this server takes mail from",
}


async def channel_finding(channel: Channel) -> Finding:
    """Whether a provider takes messages, as far as can be seen without sending any. Closes it."""
    try:
        await channel.open()
        return await _opened(channel)
    except ChannelUnavailable as error:
        advice = "start that server, or correct its URL"
        return Finding(channel.name, ok=False, found=error.reason, advice=advice)
    finally:
        await channel.close()


async def _opened(channel: Channel) -> Finding:
    """What is known of a channel that opened. Raises ChannelUnavailable."""
    if isinstance(channel, Untried):
        found = f"{channel.looked_at}; no more was tried, as that would send a message"
        return Finding(channel.name, ok=True, found=found)
    if not isinstance(channel, Introduced):
        return Finding(channel.name, ok=True, found="takes messages")
    name = channel.calls_itself or "this machine's address"
    if (refusal := await channel.refusal_of_us()) is None:
        return Finding(channel.name, ok=True, found=f"takes messages; EHLO says {name}")
    found = mask_in(f"it refuses {refusal.about_us}: {refusal}; EHLO says {name}")
    return Finding(channel.name, ok=False, found=found, advice=_ADVICE.get(refusal.about_us, _ASK_PROVIDER))
