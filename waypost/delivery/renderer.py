"""The renderer of a brand's messages, from the settings."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from waypost.config.mail import allowed_senders
from waypost.config.settings import Settings
from waypost.mail.build import Sender
from waypost.mail.dkim import Signer
from waypost.model.brand import Brand
from waypost.model.category import may_be_turned_off
from waypost.rendering.live_templates import Templates
from waypost.rendering.messages import Renderer


def renderer(
    settings: Settings,
    templates: Templates,
    whose: Brand,
    served: Collection[str],
    signers: Sequence[Signer] = (),
) -> Renderer:
    """served: the kinds of channel for which messages are rendered. signers: of its mails; none for messages
    that are not sent."""
    return Renderer(
        templates=templates,
        sender=Sender.parse(whose.sender),
        signature=whose.signature,
        reply_to=whose.reply_to,
        signers=signers,
        senders=allowed_senders(settings, whose),
        served=served,
        brand=whose,
        optional=may_be_turned_off(settings.categories),
    )
