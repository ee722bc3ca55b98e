"""A message that shows whether a provider delivers."""

from __future__ import annotations

from datetime import timedelta

from waypost.config.mail import dkim_signers
from waypost.config.settings import Settings
from waypost.delivery.channel_factory import made
from waypost.mail.build import Sender, build
from waypost.mail.dkim import signed
from waypost.model.notification import Message, Notification, ResolvedRecipient
from waypost.model.outcome import Outcome
from waypost.model.priority import Priority
from waypost.model.provider import Provider
from waypost.system.clock import now
from waypost.system.ids import new_id

SUBJECT = "A test message of Waypost"
LASTS = timedelta(minutes=1)  # then it is not offered


async def send_test(settings: Settings, name: str, provider: Provider, to: str) -> Outcome:
    """Send a test message to `to` through a provider, beside the ledger, and return the outcome. Raises
    ValueError for a provider that cannot be used, ChannelUnavailable if it does not open."""
    channel = made(name, provider, settings)
    try:
        await channel.open()
        await channel.permits.acquire()
        return await channel.send(_message(settings, name, channel.kind, to))
    finally:
        await channel.close()


def _message(settings: Settings, name: str, kind: str, to: str) -> Message:
    text = f"The provider {name} delivers. This message is a test; nothing needs to be done."
    id, moment = new_id(), now()
    mail = kind == "email"
    content = _mail(settings, to, text) if mail else text.encode()
    person = ResolvedRecipient(
        key=to, email=to if mail else None, phone=None if mail else to, name="", locale="en", timezone="UTC"
    )
    test = Notification(id, "test", Priority.NORMAL, person, {}, 1, moment, moment + LASTS)
    return Message(test, kind, to, SUBJECT, content)


def _mail(settings: Settings, to: str, text: str) -> bytes:
    moment = now()
    content = build(
        id=new_id(),
        sender=Sender.parse(settings.default_sender),
        to=to,
        to_name="",
        subject=SUBJECT,
        plain=f"{text}\n",
        html=f"<p>{text}</p>",
        date=moment,
    )
    return signed(content, dkim_signers(settings), moment)
