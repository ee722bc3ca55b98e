"""Who may be written from and to. Pure, but for what is asked of it later: see `recipient`."""

from __future__ import annotations

import re

from pydantic import ValidationError

from waypost.mail.allowed_senders import NOT_ALLOWED, Senders
from waypost.model.request import Recipient

MOST_RECIPIENTS = 100  # RFC 5321, section 4.5.3.1.8: the least a server has to take
MOST_KEPT = 50_000_000  # bytes: each recipient's notification has the mail in it
REFUSED_SENDER = f"550 5.7.1 {NOT_ALLOWED}"

_PATH = re.compile(r"<(?:@[^<>:]*:)?([^<>]*)>(?: +(.*))?", re.DOTALL)


def path_and_parameters(argument: str, keyword: str) -> tuple[str, dict[str, str]] | None:
    """`FROM:<ada@a.example> SIZE=7` as the address and the parameters, their names in capitals. A route
    before the address is left out, as RFC 5321, appendix C, asks. None for another form."""
    if argument[: len(keyword)].upper() != keyword:
        return None
    found = _PATH.fullmatch(argument[len(keyword) :].strip(" "))
    if found is None:
        return None
    pairs = (one.partition("=") for one in (found[2] or "").split())
    return found[1], {name.upper(): value for name, _, value in pairs}


def refused_sender(senders: Senders, address: str) -> str | None:
    """The reply to a MAIL FROM that this gateway does not send for."""
    return None if address and senders.allow([address]) else REFUSED_SENDER


def recipient(address: str) -> Recipient | str:
    """Whom an envelope's address stands for, or the reply that refuses it.

    This is the place for whatever decides about an address before a mail is taken: suppression lists, once
    there are any, answer 550 5.7.1 here, so that the client hears which recipient it is.
    """
    try:
        return Recipient(email=address)
    except ValidationError:
        return "553 5.1.3 that is not one email address"


def too_much(size: int, recipients: int) -> bool:
    """Whether a mail of `size` bytes is too much to be kept for so many."""
    return size * recipients > MOST_KEPT
