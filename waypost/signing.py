"""What the settings say about signing mails."""

from __future__ import annotations

from waypost.mail.build import Sender
from waypost.mail.dkim import Signer
from waypost.mail.dkim_keys import signers
from waypost.settings import Settings


def dkim_signers(settings: Settings) -> list[Signer]:
    """A signer for each key of WAYPOST_DKIM_KEY; none when it is not set. Reads the files it names.

    Raises KeyUnusable naming the setting, never what it holds.
    """
    keys = settings.dkim_key.get_secret_value() if settings.dkim_key else ""
    domain = settings.dkim_domain or Sender.parse(settings.sender).domain
    return signers(keys, settings.dkim_selector, domain, settings.dkim_unsigned)
