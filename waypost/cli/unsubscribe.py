"""`waypost unsubscribe`: turn a category off by a mail, for the pipe of a mail server."""

from __future__ import annotations

import sys
from typing import BinaryIO

import typer

from waypost.cli.with_ledger import with_ledger
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.model.category import Category
from waypost.recipients.unsubscribe_mail import MOST_BYTES, tokens_in


def unsubscribe() -> None:
    """Unsubscribe by the mail on standard input.

    Your mail server runs this command for each mail to WAYPOST_UNSUBSCRIBE_ADDRESS. The mail's subject has
    the token of a link to unsubscribe; a mail without one changes nothing. Exit status 0, or 75 (EX_TEMPFAIL)
    if the ledger cannot be used: the mail server then tries again later.
    """
    tokens = tokens_in(_read(sys.stdin.buffer))
    settings = Settings()
    off = with_ledger(lambda ledger: _turn_off(ledger, settings, tokens), settings) if tokens else None
    typer.echo(f"{off} is turned off" if off else "no link to unsubscribe that works; nothing is changed")


def _read(mail: BinaryIO) -> bytes:
    """The beginning of a mail, which is read to its end: a mail server may take a closed pipe for a fault."""
    found = mail.read(MOST_BYTES)
    while mail.read(MOST_BYTES):
        pass
    return found


async def _turn_off(ledger: Ledger, settings: Settings, tokens: list[str]) -> Category | None:
    """Turn off the category of the first token that works. Raises OtherKey: with another key, every token
    looks forged."""
    from waypost.ledger.records import installation
    from waypost.recipients.choices import BY_MAIL, Catalogue, turn_off
    from waypost.recipients.links import Links, Page
    from waypost.recipients.open_link import opened

    key = secret_key(settings)
    await installation.check_key(ledger, key)
    for token in tokens:
        found = await opened(ledger, Links(key), Page.UNSUBSCRIBE, token, settings.categories)
        if found is not None:
            from waypost.deployments.registry import registered  # it imports Prefect: seconds

            types = [one.type for one in registered().values()]
            await turn_off(ledger, found.link, BY_MAIL, Catalogue(types, settings.categories).names)
            return found.link.category
    return None
