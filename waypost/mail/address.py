"""One string, one address: how addresses and phone numbers are read, compared and shown."""

from __future__ import annotations

import re
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from waypost.mail.internal_domains import internal_domain
from waypost.mail.pasted_text import cleaned

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"  # RFC 5322, section 3.2.3
# Looser than the validator, tight enough that no string matching it is two addresses or a header.
ADDRESS_PATTERN = (
    rf"^(?:[^\s@,;:<>()\[\]\\\"\x00-\x1f\x7f]{{1,64}}|\"[.{_ATEXT}]{{1,62}}\")"
    r"@[^\s@,;:<>()\[\]\\\"._\x00-\x1f\x7f-]"
    r"(?:[^\s@,;:<>()\[\]\\\"_\x00-\x1f\x7f]*[^\s@,;:<>()\[\]\\\"._\x00-\x1f\x7f])?$"
)
# From 5 digits, as short codes have, to the 15 of E.164. No two parts in a row match the same character.
PHONE_PATTERN = r"^\+?[(). -]*(?:[0-9][(). -]*){5,15}$"

# A dot-atom (RFC 5322, section 3.2.3) of letters, digits and . _ + - that no validator has doubts about.
_PLAIN_LOCAL = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")
_LONGEST_PLAIN_DOMAIN = 180  # with a local part of 64 it stays under the 254 of RFC 5321, section 4.5.3.1
_DOT_ATOM = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*")
_ATOM_AND_DOTS = re.compile(rf"[.{_ATEXT}]+")
LONGEST_LOCAL = 64  # octets; RFC 5321, section 4.5.3.1.1
LONGEST = 254  # a path may have 256 (section 4.5.3.1.3), and its angle brackets are two of them


def one_address(text: str) -> str:
    """`text` as exactly one normalised mailbox address, without display name; its domain as A-labels
    (RFC 5890), its local part in quotes where its dots ask for them (RFC 5321, section 4.1.2).

    Raises ValueError with a reason that never repeats the input. Domains under `.example` and `.test` pass:
    whether mail can reach one is the provider's to say. So do those of WAYPOST_INTERNAL_DOMAINS.
    """
    local, _, domain = text.rpartition("@")
    if len(text) > LONGEST:
        raise ValueError(f"not one email address: longer than {LONGEST} characters")
    if _PLAIN_LOCAL.fullmatch(local) and (known := _plain_domain(domain)):
        return f"{local}@{known}"
    local, quoted, internal = *_unquoted(local), internal_domain(domain)
    rest = f"{'a' if quoted else local}@{'a.example' if internal else domain}"  # what is still to be judged
    try:
        found = validate_email(rest, check_deliverability=False, allow_smtputf8=True, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(f"not one email address: {_without_input(str(error), text)}") from None
    local = f'"{local}"' if quoted else found.ascii_local_part or found.local_part
    if len(local.encode()) > LONGEST_LOCAL:
        raise ValueError(f"not one email address: more than {LONGEST_LOCAL} octets before its @")
    return f"{local}@{internal or found.ascii_domain}"


def _unquoted(local: str) -> tuple[str, bool]:
    """`local` without quotes, and whether it needs some: `a..b` and `a.` do, which some carriers gave out.

    Blanks, brackets and the like in quotes are left to the validator, which refuses them: no mailbox has
    them, and loose parsers take such an address apart. So is what may be an encoded-word (RFC 2047).
    """
    inner = local[1:-1]
    bare = inner if local == f'"{inner}"' and _ATOM_AND_DOTS.fullmatch(inner) else local
    quoted = bool(_ATOM_AND_DOTS.fullmatch(bare)) and not _DOT_ATOM.fullmatch(bare) and "=?" not in bare
    return bare, quoted


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


# Five digits after a plus sign, or ten without: numbers that count customers or orders seldom have as many.
_DIALLED = re.compile(r"\+[ ().-]*(?:[0-9][ ().-]*){5}|(?<![A-Za-z0-9])(?:[0-9][ ().-]*){10,}(?![A-Za-z0-9])")
_NOT_DIALLED = re.compile(r"[^0-9+]")


def folded(address: str) -> str:
    """The one spelling by which a valid address or phone number is compared, in memory and in the ledger.

    Addresses: in lower case, also beyond ASCII, and not casefolded, which takes two mailboxes for one
    (`straße`, `strasse`). Phone numbers: their digits, with the plus sign of E.164. Never left to a database:
    SQLite's `lower` knows ASCII alone, PostgreSQL's depends on its locale.
    """
    return address.lower() if "@" in address else _NOT_DIALLED.sub("", address)


def named_address(text: str) -> str | None:
    """The address or phone number that `text` names, folded; None when it can only be an id.

    It names one as `ada@a.example`, `mailto:ada@a.example`, `+49 170 1234512` or `tel:0170-1234512;ext=1`.
    Digits without a plus sign or `tel:` are an id, and so is what is no valid address though it holds an @.
    """
    text = text.strip()
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "tel":
        return phone_number(rest.partition(";")[0])  # RFC 3966, section 3: parameters follow
    if (phone := cleaned(text)).startswith("+"):
        return phone_number(phone)
    try:
        return folded(one_address(rest if scheme.lower() == "mailto" else text))
    except ValueError:
        return None


def phone_number(text: str) -> str | None:
    """The phone number that `text` is, folded, with or without a plus sign; None for anything else."""
    written = cleaned(text)
    return folded(written) if re.match(PHONE_PATTERN, written) else None


def reaches_somebody(id: str) -> bool:
    """Whether an id is or holds an address or phone number, so that it is shown masked: also
    `whatsapp:+49...`, and one written with full-width characters."""
    written = cleaned(id)
    return "@" in written or bool(_DIALLED.search(written))


def url_of(address: str) -> str:
    """`mailto:` or `tel:` and the folded address: what the ledger knows somebody by who has no id."""
    return f"{'mailto' if '@' in address else 'tel'}:{folded(address)}"


def key_of_url(text: str) -> str | None:
    """What somebody is known by whose address a `mailto:` or `tel:` URL names; None for what is no such URL.

    Raises ValueError for one that names no address."""
    scheme, _, rest = text.partition(":")
    match scheme.lower():
        case "mailto":
            return url_of(one_address(rest))
        case "tel":
            if (number := phone_number(rest)) is None:
                raise ValueError("not one phone number")
            return url_of(number)
        case _:
            return None


def keys_of(text: str) -> tuple[str, ...]:
    """The keys that the ledger may know a recipient by who is named by `text`: an id as it stands, an address
    or phone number as a URL. An id may look like either."""
    address = named_address(text) or phone_number(text)
    return (text, url_of(address)) if address else (text,)
