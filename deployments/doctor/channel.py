"""The check of one provider behind `waypost doctor`."""

from __future__ import annotations

from waypost.channels.channel import Channel, ChannelSilent, ChannelUnavailable, KnowsItsName, Unprobed
from waypost.deployments.doctor.finding import Finding
from waypost.mail.masking import mask_in
from waypost.policy import blame

_UNAVAILABLE = "start the server, or correct its URL"
_SILENT = (
    "the server hangs, a firewall drops the connection, or the port needs TLS from the "
    "first byte (smtps://); check the server, or correct its URL"
)
_ASK_PROVIDER = "look up this reply in the mail server's documentation, or ask its operator"
_ADVICE = {
    blame.NAME: "add helo= with a full DNS name to the server's URL",
    blame.LOGIN: "correct the user name and password in the server's URL",
    blame.SENDER: "set WAYPOST_SENDER to an address that this server accepts",
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
        found = f"{channel.checked}; not tested further, because that would send a message"
        return Finding(channel.name, ok=True, found=found)
    if not isinstance(channel, KnowsItsName):
        return Finding(channel.name, ok=True, found="accepts messages")
    name = channel.calls_itself or "this machine's address"
    if (refusal := await channel.refusal_of_us()) is None:
        return Finding(channel.name, ok=True, found=f"accepts messages; the EHLO name is {name}")
    found = mask_in(f"refuses {refusal.about_us}: {refusal}; the EHLO name is {name}")
    return Finding(channel.name, ok=False, found=found, advice=_ADVICE.get(refusal.about_us, _ASK_PROVIDER))
