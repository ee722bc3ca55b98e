"""One string, one address."""

from __future__ import annotations

import re
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

# Looser than the validator, tight enough that no string matching it is two addresses or a header.
ADDRESS_PATTERN = (
    r"^[^\s@,;:<>()\[\]\\\"\x00-\x1f\x7f]{1,64}@[^\s@,;:<>()\[\]\\\"._\x00-\x1f\x7f-]"
    r"[^\s@,;:<>()\[\]\\\"_\x00-\x1f\x7f]*\.[^\s@,;:<>()\[\]\\\"._\x00-\x1f\x7f]+$"
)


# A dot-atom (RFC 5322, section 3.2.3) of letters, digits and . _ + - that no validator has doubts about.
_PLAIN_LOCAL = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")
_LONGEST_PLAIN_DOMAIN = 180  # with a local part of 64 it stays under the 254 of RFC 5321, section 4.5.3.1


LONGEST_LOCAL = 64  # octets; RFC 5321, section 4.5.3.1.1
LONGEST = 254  # a path may have 256 (section 4.5.3.1.3), and its angle brackets are two of them


def one_address(text: str) -> str:
    """`text` as exactly one normalised mailbox address, without display name; its domain
    as A-labels (RFC 5890).

    Raises ValueError with a reason that never repeats the input. Domains under `.example`
    and `.test` pass: whether mail can reach one is the provider's to say.
    """
    local, _, domain = text.rpartition("@")
    if len(text) > LONGEST:
        raise ValueError(f"not one email address: longer than {LONGEST} characters")
    if _PLAIN_LOCAL.fullmatch(local) and (known := _plain_domain(domain)):
        return f"{local}@{known}"
    if len(local.encode(errors="replace")) > LONGEST_LOCAL:
        raise ValueError(f"not one email address: more than {LONGEST_LOCAL} octets before its @")
    try:
        address = validate_email(text, check_deliverability=False, allow_smtputf8=True, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(f"not one email address: {_without_input(str(error), text)}") from None
    return f"{address.ascii_local_part or address.local_part}@{address.ascii_domain}"


@lru_cache(4096)
def _plain_domain(domain: str) -> str | None:
    """The domain as the validator writes it, remembered: checking one takes longer than all the rest of a
    request. None when it, or an address at it, may be too long or wrong: the validator then says how."""
    if len(domain) > _LONGEST_PLAIN_DOMAIN:
        return None
    try:
        return validate_email(f"a@{domain}", check_deliverability=False, test_environment=True).ascii_domain
    except EmailNotValidError:
        return None


def _without_input(reason: str, text: str) -> str:
    """The validator's reason, up to where it begins to quote what it was given."""
    told = re.split(r"[:('\"]", reason, maxsplit=1)[0].strip(" .")
    return "it cannot be read as one" if any(part in told for part in text.split("@") if part) else told


def mask(address: str) -> str:
    """`address` as shown to people who need not know it: `p***t@northwind.example`, `+49***12`."""
    local, at, domain = address.rpartition("@")
    if not at:
        return f"{address[:3]}***{address[-2:]}" if len(address) > 6 else "***"
    shown = f"{local[0]}***{local[-1]}" if len(local) > 2 else "***"
    return f"{shown}@{domain}"


_ADDRESS = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+\.[^\s@<>\"'(),;:]+")


def mask_in(text: str) -> str:
    """`text` with every address in it masked: providers repeat them in their words."""
    return _ADDRESS.sub(lambda found: mask(found.group()), text)
