"""Parses and checks the addresses of an SMTP envelope. Pure."""

from __future__ import annotations

import re

from pydantic import ValidationError

from waypost.mail.allowed_senders import NOT_ALLOWED
from waypost.model.request import Recipient

MOST_RECIPIENTS = 100  # RFC 5321, section 4.5.3.1.8: the minimum that a server must accept
MOST_KEPT = 50_000_000  # bytes: each recipient's notification contains the mail
REFUSED_SENDER = f"550 5.7.1 {NOT_ALLOWED}"

_PATH = re.compile(r"<(?:@[^<>:]*:)?([^<>]*)>(?: +(.*))?", re.DOTALL)


def path_and_parameters(argument: str, keyword: str) -> tuple[str, dict[str, str]] | None:
    """Parse `FROM:<ada@a.example> SIZE=7` into the address and the parameters, their names in capitals. A
    source route before the address is dropped (RFC 5321, appendix C). None for any other form."""
    if argument[: len(keyword)].upper() != keyword:
        return None
    found = _PATH.fullmatch(argument[len(keyword) :].strip(" "))
    if found is None:
        return None
    pairs = (one.partition("=") for one in (found[2] or "").split())
    return found[1], {name.upper(): value for name, _, value in pairs}


def recipient(address: str) -> Recipient | str:
    """The recipient for an envelope's address, or the reply that refuses it.

    Checks of an address before its mail is accepted belong here. Suppression lists, once there are any, reply
    550 5.7.1 here, so that the client learns which recipient is refused.
    """
    try:
        return Recipient(email=address)
    except ValidationError:
        return "553 5.1.3 not a single valid email address"


def too_much(size: int, recipients: int) -> bool:
    """Whether a mail of `size` bytes, kept once per recipient, takes more than MOST_KEPT."""
    return size * recipients > MOST_KEPT
