"""Settings of mail: the DKIM signers, and the senders allowed in a mail that its author finished."""

from __future__ import annotations

from functools import lru_cache

from waypost.config.settings import Settings
from waypost.mail.allowed_senders import Senders
from waypost.mail.build import Sender
from waypost.mail.dkim import Signer
from waypost.mail.dkim_keys import signers
from waypost.mail.headers import parse_mailbox


def dkim_signers(settings: Settings) -> list[Signer]:
    """A signer for each key of WAYPOST_DKIM_KEY; empty if it is not set. Reads the files it names.

    Raises KeyUnusable naming the setting, never its value.
    """
    keys = settings.dkim_key.get_secret_value() if settings.dkim_key else ""
    domain = settings.dkim_domain or Sender.parse(settings.sender).domain
    return signers(keys, settings.dkim_selector, domain, settings.dkim_unsigned)


def allowed_senders(settings: Settings) -> Senders:
    """The domain of WAYPOST_SENDER, and the senders of WAYPOST_SUBMISSION_SENDERS. Raises ValueError."""
    return _senders(settings.sender, settings.submission_senders)


@lru_cache(4)
def _senders(sender: str, others: str) -> Senders:
    found = Senders.parse(others)
    domain = parse_mailbox(sender)[1].rpartition("@")[2]
    return Senders(found.addresses, found.domains | {domain})
