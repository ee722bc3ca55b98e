"""The name Waypost sends in EHLO (RFC 5321, section 4.1.1.1): a full domain name, or an address literal.

Servers refuse `localhost`, a container's id and other names without a dot, some of them only at RCPT. So the
default is the domain of the sender, and never the name of this machine.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_FULL_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+\.?\Z", re.IGNORECASE)


def checked(name: str) -> str:
    """`name` if it may stand in EHLO. Raises ValueError."""
    if not (_is_full(name) or _is_literal(name)):
        raise ValueError(
            "helo= in a mail server's URL must be a full name such as mail.shop.example, "
            "or an address such as [192.0.2.1] or [IPv6:2001:db8::1]"
        )
    return name


def of_sender(address: str) -> str | None:
    """The domain of a sender's address; None when it is not a full domain name."""
    domain = address.rpartition("@")[2]
    return domain if _is_full(domain) else None


def literal(address: str) -> str:
    """The address literal of an IP address (RFC 5321, section 4.1.3)."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return f"[IPv6:{found}]" if found.version == 6 else f"[{found}]"


async def literal_towards(host: str, port: int) -> str:
    """The literal of this machine's address on the route to `host`. Sends nothing. Raises OSError."""
    loop = asyncio.get_running_loop()
    (family, kind, _, _, where), *_ = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    with socket.socket(family, kind) as probe:  # connecting a datagram socket only chooses a route
        probe.connect(where)
        return literal(probe.getsockname()[0])


def _is_full(name: str) -> bool:
    return _FULL_NAME.match(name) is not None and not name.replace(".", "").isdecimal()


def _is_literal(name: str) -> bool:
    inner = name.removeprefix("[").removesuffix("]").removeprefix("IPv6:")
    try:
        return name == literal(inner)
    except ValueError:
        return False
