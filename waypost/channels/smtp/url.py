"""Parses URLs of mail servers, such as `smtp://user:password@host:587?connections=8`."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from waypost.channels.smtp import ehlo_name
from waypost.net.hosts import is_loopback

_OPTIONS = {"connections", "messages", "idle", "pipelining", "tls", "ca", "helo"}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where a mail server is and how to speak to it.

    tls: "implicit" (smtps), "starttls" (required, never optional) or "off" (loopback, or asked for).
    ca: a file of certificate authorities to trust instead of the system's.
    connections: open at most. messages: how many each takes before it is replaced. idle_seconds: how long
    each stays open unused. pipelining: whether to use it where the server offers it (RFC 2920).
    helo: the name Waypost sends in EHLO; None for the sender's domain.
    """

    host: str
    port: int
    tls: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    connections: int = 4
    messages: int = 1000
    idle_seconds: float = 60.0
    pipelining: bool = True
    ca: str | None = None
    helo: str | None = None

    @property
    def credentials(self) -> list[str]:
        """User, password, and the AUTH PLAIN response that holds both (RFC 4616)."""
        found = [one for one in (self.username, self.password) if one]
        plain = f"\0{self.username}\0{self.password}".encode("utf-8", "replace")
        return [*found, base64.b64encode(plain).decode()] if len(found) == 2 else found


def parse(url: str) -> SmtpServer:
    """The server a URL names. Raises ValueError, never repeating the URL: it holds a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            "not a URL such as smtp://user:password@host:587 (in a password, "
            "percent-encode @ : / ? # and similar characters; a port is at most 65535)"
        ) from None
    if parts.scheme not in ("smtp", "smtps"):
        raise ValueError("a mail server's URL must begin with smtp:// or smtps://")
    if not parts.hostname:
        raise ValueError("a mail server's URL must name a host: smtp://host:587")
    if parts.path or parts.fragment or "@" in parts.query:
        raise ValueError("a mail server's URL has no path; percent-encode / ? and # in a password")
    if parts.password and not parts.username:
        raise ValueError("a mail server's URL with a password needs a user name too")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := set(options) - _OPTIONS:
        raise ValueError(
            f"unknown option {sorted(unknown)[0]!r} in a mail server's URL; the options "
            f"are {', '.join(sorted(_OPTIONS))}"
        )
    tls = _tls(parts.scheme, parts.hostname, options.get("tls"))
    username = unquote(parts.username) if parts.username else None
    if username and tls == "off" and not is_loopback(parts.hostname):
        raise ValueError("tls=off with a password would send it unencrypted; remove one of them")
    return SmtpServer(
        host=parts.hostname,
        port=port or {"implicit": 465, "starttls": 587, "off": 25}[tls],
        tls=tls,
        username=username,
        password=unquote(parts.password) if parts.password else None,
        connections=_number("connections", options.get("connections", "4"), 100),
        messages=_number("messages", options.get("messages", "1000"), 1_000_000),
        idle_seconds=_number("idle", options.get("idle", "60"), 3600),
        pipelining=_pipelining(options.get("pipelining")),
        ca=options.get("ca"),
        helo=ehlo_name.checked(options["helo"]) if "helo" in options else None,
    )


def _tls(scheme: str, host: str, asked: str | None) -> str:
    if asked not in (None, "off", "starttls"):
        raise ValueError("tls= in a mail server's URL must be 'off' or 'starttls'")
    if scheme == "smtps":
        if asked:
            raise ValueError("smtps:// uses TLS from the first byte; remove tls=")
        return "implicit"
    return asked or ("off" if is_loopback(host) else "starttls")


def _number(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= most:
        raise ValueError(f"{name}= in a mail server's URL must be a number from 1 to {most}")
    return int(text)


def _pipelining(asked: str | None) -> bool:
    if asked not in (None, "off"):
        raise ValueError("pipelining= in a mail server's URL can only be 'off'")
    return asked is None
