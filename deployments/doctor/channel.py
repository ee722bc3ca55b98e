"""The check of one provider behind `waypost doctor`."""

from __future__ import annotations

from deployments.doctor.finding import Finding
from waypost.channels.channel import Channel, ChannelSilent, ChannelUnavailable, KnowsItsName, Unprobed
from waypost.mail.masking import mask_in
from waypost.policy import blame

_UNAVAILABLE = "start that server, or correct its URL"
_SILENT = (
    "the server hangs, a firewall drops the connection, or its port wants TLS at once (smtps://): look "
    "at that server, or correct its URL"
)
_ASK_PROVIDER = "ask the mail server's operator, or see its documentation, for this reply"
_ADVICE = {
    blame.NAME: "add helo= to the server's URL, with a full name that DNS knows",
    blame.LOGIN: "correct the user name and password in the server's URL",
    blame.SENDER: "set WAYPOST_SENDER to an address that this server takes mail from",
}


async def channel_finding(channel: Channel) -> Finding:
    """Whether a provider takes messages, as far as can be seen without sending any. Closes the channel."""
    try:
        await channel.open()
        return await _opened(channel)
    except ChannelUnavailable as error:
        silent = isinstance(error, ChannelSilent)
        return Finding(channel.name, ok=False, found=error.reason, advice=_SILENT if silent else _UNAVAILABLE)
    finally:
        await channel.close()


async def _opened(channel: Channel) -> Finding:
    """The finding for a channel that opened. Raises ChannelUnavailable."""
    if isinstance(channel, Unprobed):
        found = f"{channel.checked}; no more was tried, as that would send a message"
        return Finding(channel.name, ok=True, found=found)
    if not isinstance(channel, KnowsItsName):
        return Finding(channel.name, ok=True, found="takes messages")
    name = channel.calls_itself or "this machine's address"
    if (refusal := await channel.refusal_of_us()) is None:
        return Finding(channel.name, ok=True, found=f"takes messages; EHLO says {name}")
    found = mask_in(f"it refuses {refusal.about_us}: {refusal}; EHLO says {name}")
    return Finding(channel.name, ok=False, found=found, advice=_ADVICE.get(refusal.about_us, _ASK_PROVIDER))
