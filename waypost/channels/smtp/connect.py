"""A connection to a mail server, greeted, encrypted and logged in as its settings say."""

from __future__ import annotations

import asyncio
import ssl

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPHeloError,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from waypost.channels.channel import ChannelSilent, ChannelUnavailable
from waypost.channels.smtp.connection import ConnectionLost, SmtpConnection
from waypost.channels.smtp.ehlo_name import literal_towards
from waypost.channels.smtp.url import SmtpServer

CONNECT_SECONDS = 15.0


def tls_context(server: SmtpServer) -> ssl.SSLContext | None:
    """The TLS context that checks the server's certificate and name; None if TLS is off."""
    if server.tls == "off":
        return None
    return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=server.ca)


async def connect(
    channel: str, server: SmtpServer, tls: ssl.SSLContext | None, name: str | None
) -> SmtpConnection:
    """A connection that can take a message. Raises ChannelUnavailable; then nothing is left open.

    name: sent in EHLO; None for the address of this machine.
    """
    client = SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        use_tls=server.tls == "implicit",
        start_tls=server.tls == "starttls",  # True refuses a server that does not offer it
        tls_context=tls,
        timeout=None,
    )
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            client.local_hostname = name or await literal_towards(server.host, server.port)
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await _greet(client)
        return SmtpConnection(client)
    except (SMTPException, ConnectionLost, OSError, TimeoutError, ValueError) as error:
        client.close()
        kind = ChannelSilent if isinstance(error, TimeoutError) else ChannelUnavailable
        raise kind(channel, _why(error, server, client.local_hostname or "")) from None
    except BaseException:
        client.close()
        raise


async def _greet(client: SMTP) -> None:
    """EHLO, or HELO to a server that does not know it (RFC 5321, section 3.2)."""
    try:
        await client.ehlo()
    except SMTPHeloError as error:
        if error.code < 500:
            raise
        await client.helo()


def _why(error: BaseException, server: SmtpServer, name: str) -> str:
    place = f"{server.host}:{server.port}"
    # asyncio.timeout raises TimeoutError from the CancelledError that it made itself.
    cause = error if isinstance(error, TimeoutError) else error.__cause__ or error
    match cause:
        case SMTPAuthenticationError():
            return f"{place} refused the user name or password ({cause.code})"
        case SMTPHeloError() if cause.code >= 500:
            said = " ".join(cause.message.split())[:200]
            return f"{place} refused the name {name} in EHLO ({cause.code} {said}); set helo= in its URL"
        case SMTPResponseException():
            return f"{place} replied {cause.code} {' '.join(cause.message.split())[:200]}"
        case ssl.SSLCertVerificationError():
            return f"{place} has an untrusted certificate ({cause.verify_message})"
        case TimeoutError():
            return f"{place} did not respond within {CONNECT_SECONDS:g} s"
        case SMTPServerDisconnected() | ConnectionLost():
            return f"{place} closed the connection before it accepted a message"
        case _ if "STARTTLS" in str(error):
            return f"{place} does not offer STARTTLS, but TLS is required"
        case _:
            reason = getattr(cause, "strerror", None) or type(cause).__name__
            return f"{place} could not be reached ({reason})"
