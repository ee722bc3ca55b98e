"""List-Unsubscribe (RFC 2369) and List-Unsubscribe-Post (RFC 8058), with the addresses unchanged.

The standard library's policy turns an address longer than a line into encoded words, which no mail program
can follow.
"""

from __future__ import annotations

import re

from waypost.mail.headers import MAX_LINE, SENSIBLE, HeaderError, is_plain

# RFC 3986: the characters of an address, at least one after its scheme. Neither blanks nor < and >.
_ADDRESS = re.compile(r"(?:https?://|mailto:)[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


def lines(value: str, one_click: bool) -> list[str]:
    """The header lines for the addresses in `value`, separated by blanks; empty without addresses.

    A line is broken between two addresses, never inside an address. one_click: the https address among them
    unsubscribes by a POST, without a page. Raises HeaderError.
    """
    addresses = value.split()
    if not addresses:
        return []
    if not (all(map(_ADDRESS.fullmatch, addresses)) and is_plain(value)):
        raise HeaderError(
            "List-Unsubscribe may contain only https and mailto addresses in ASCII, "
            "separated by blanks; percent-encode other characters"
        )
    if one_click and not any(address.startswith("https://") for address in addresses):
        raise HeaderError("List-Unsubscribe has no https address, which one_click needs")
    found = [_folded([f"<{address}>" for address in addresses])]
    return [*found, "List-Unsubscribe-Post: List-Unsubscribe=One-Click"] if one_click else found


def _folded(addresses: list[str]) -> str:
    lines = ["List-Unsubscribe:"]
    for number, address in enumerate(addresses):
        item = address if number == len(addresses) - 1 else f"{address},"
        if len(item) + 1 > MAX_LINE:
            raise HeaderError(f"List-Unsubscribe has an address longer than a line ({MAX_LINE} characters)")
        # The first address stays on the line of the name if it fits: some readers require that.
        limit = MAX_LINE if number == 0 else SENSIBLE
        if len(lines[-1]) + 1 + len(item) <= limit:
            lines[-1] += f" {item}"
        else:
            lines.append(f" {item}")
    return "\r\n".join(lines)
