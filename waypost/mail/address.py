"""Email addresses and phone numbers: how they are parsed, compared and keyed in the ledger."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from waypost.mail.e164 import PLAIN, begins_with_country, e164
from waypost.mail.internal_domains import SETTING, internal_domain
from waypost.mail.pasted_text import cleaned

if TYPE_CHECKING:
    from email_validator import ValidatedEmail

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"  # RFC 5322, section 3.2.3
# Looser than the validator, tight enough that no string matching it is two addresses or a header.
ADDRESS_PATTERN = (
    rf"^(?:[^\s@,;:<>()\[\]\\\"\x00-\x1f\x7f]{{1,64}}|\"[.{_ATEXT}]{{1,62}}\")"
    r"@[^\s@,;:<>()\[\]\\\"._\x00-\x1f\x7f-]"
    r"(?:[^\s@,;:<>()\[\]\\\"_\x00-\x1f\x7f]*[^\s@,;:<>()\[\]\\\"._\x00-\x1f\x7f])?$"
)
# From 5 digits, as short codes have, to the 15 of E.164. No two parts in a row match the same character.
PHONE_PATTERN = r"^\+?[(). -]*(?:[0-9][(). -]*){5,15}$"

# A dot-atom (RFC 5322, section 3.2.3) of letters, digits and . _ + -, which every validator accepts.
_PLAIN_LOCAL = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")
_LONGEST_PLAIN_DOMAIN = 180  # with a local part of 64 it stays under the 254 of RFC 5321, section 4.5.3.1
_DOT_ATOM = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*")
_ATOM_AND_DOTS = re.compile(rf"[.{_ATEXT}]+")
LONGEST_LOCAL = 64  # octets; RFC 5321, section 4.5.3.1.1
LONGEST = 254  # a path may have 256 (section 4.5.3.1.3), and its angle brackets are two of them


def one_address(text: str) -> str:
    """`text` as one normalised mailbox address, without display name. The domain is in A-labels (RFC 5890);
    the local part is quoted if its dots require it (RFC 5321, section 4.1.2).

    Raises ValueError with a reason that never repeats the input. Domains under `.example` and `.test` pass:
    the provider decides whether mail can reach them. So do those of WAYPOST_INTERNAL_DOMAINS.
    """
    local, _, domain = text.rpartition("@")
    if len(text) > LONGEST:
        raise ValueError(f"not a valid email address: longer than {LONGEST} characters")
    if _PLAIN_LOCAL.fullmatch(local) and (known := _plain_domain(domain)):
        return f"{local}@{known}"
    local, quoted, internal = *_unquoted(local), internal_domain(domain)
    rest = f"{'a' if quoted else local}@{'a.example' if internal else domain}"  # the parts still to check
    try:
        found = _validated(rest, allow_smtputf8=True)
    except ValueError as error:
        raise ValueError(f"not a valid email address: {_reason(text, str(error))}") from None
    local = f'"{local}"' if quoted else found.ascii_local_part or found.local_part
    if len(local.encode()) > LONGEST_LOCAL:
        raise ValueError(f"not a valid email address: more than {LONGEST_LOCAL} octets before its @")
    return f"{local}@{internal or found.ascii_domain}"


def plain_address(text: str) -> str:
    """`text` as one address that every mail program can write to: in ASCII, without quotes. Raises
    ValueError."""
    found = one_address(text)
    if not _PLAIN_LOCAL.fullmatch(found.rpartition("@")[0]):
        raise ValueError("not an address of letters, digits and . _ + - before its @")
    return found


def _unquoted(local: str) -> tuple[str, bool]:
    """`local` without quotes, and whether it needs them: `a..b` and `a.` do, which some carriers issued.

    Quoted blanks, brackets and the like are left to the validator, which rejects them: no mailbox has them,
    and loose parsers split such an address. So is a local part that may be an encoded-word (RFC 2047).
    """
    inner = local[1:-1]
    bare = inner if local == f'"{inner}"' and _ATOM_AND_DOTS.fullmatch(inner) else local
    quoted = bool(_ATOM_AND_DOTS.fullmatch(bare)) and not _DOT_ATOM.fullmatch(bare) and "=?" not in bare
    return bare, quoted


@lru_cache(4096)
def _plain_domain(domain: str) -> str | None:
    """The domain as the validator writes it, cached: checking a domain takes longer than the rest of a
    request. None if the domain, or an address at it, may be too long or invalid: the validator says why."""
    if len(domain) > _LONGEST_PLAIN_DOMAIN:
        return None
    try:
        return _validated(f"a@{domain}").ascii_domain
    except ValueError:
        return None


def _validated(address: str, **more: Any) -> ValidatedEmail:
    """Raises EmailNotValidError, a ValueError."""
    # Imported here: commands that only read the ledger check no address, and the import takes a while.
    from email_validator import validate_email

    return validate_email(address, check_deliverability=False, test_environment=True, **more)


def _reason(text: str, said: str) -> str:
    """Why `text` is not one address, without any of it. said: the validator's words, for other reasons."""
    if "special-use" in said:
        return f"its domain is reserved; add internal domains to {SETTING}"
    return next((reason for reason, holds in _REASONS.items() if holds(text)), _without_input(said))


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _domain(text: str) -> str:
    return text.rpartition("@")[2]


def _has_no_dot(domain: str) -> bool:
    return "." not in domain and not domain.startswith("[")


# By reason, the first that holds. Each takes time that is linear in the text.
_REASONS: dict[str, Callable[[str], bool]] = {
    "it is empty": lambda text: not text,
    "it has blanks around it": lambda text: text != text.strip(),
    "it contains a line break or another control character": lambda text: bool(_CONTROL.search(text)),
    "it has no @": lambda text: "@" not in text,
    "it has angle brackets; give the address without a name": lambda text: "<" in text,
    "it is a list of addresses; give only one": lambda text: bool(_LISTED.search(text)),
    "it has more than one @": lambda text: text.count("@") > 1,
    "it begins with mailto:; give only the address": lambda text: text.lower().startswith("mailto:"),
    "nothing is before its @": lambda text: text.startswith("@"),
    "nothing is after its @": lambda text: text.endswith("@"),
    "its domain ends with a dot": lambda text: text.endswith("."),
    "it contains a blank": lambda text: any(letter.isspace() for letter in text),
    f"its domain has no dot; add internal domains to {SETTING}": lambda text: _has_no_dot(_domain(text)),
}
_LISTED = re.compile(r"@[^@,;\s]*[,;\s][^@]*@")


def _without_input(reason: str) -> str:
    """The validator's reason, up to where it begins to quote its input."""
    return re.split(r"[:('\"]", reason, maxsplit=1)[0].strip(" .")


# Five digits after a plus sign, or ten without: customer and order numbers seldom have as many.
_DIALLED = re.compile(r"\+[ ().-]*(?:[0-9][ ().-]*){5}|(?<![A-Za-z0-9])(?:[0-9][ ().-]*){10,}(?![A-Za-z0-9])")
_NOT_DIALLED = re.compile(r"[^0-9+]")


def folded(address: str) -> str:
    """The form in which valid addresses and phone numbers are compared, in memory and in the ledger.

    Addresses: in lower case, also beyond ASCII; not casefolded, which would merge two mailboxes (`straße`,
    `strasse`). Phone numbers: their digits, with the plus sign of E.164. A database never computes this:
    SQLite's `lower` handles ASCII only, and PostgreSQL's depends on its locale.
    """
    return address.lower() if "@" in address else _NOT_DIALLED.sub("", address)


def named_address(text: str) -> str | None:
    """The address or phone number that `text` names, folded; None if it can only be an id.

    Accepts `ada@a.example`, `mailto:ada@a.example`, `+49 170 1234512` and `tel:0170-1234512;ext=1`.
    Digits without a plus sign or `tel:` are an id. So is a text with an @ that is not a valid address.
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
    """`text` as a folded phone number, with or without a plus sign; None if it is not a phone number."""
    written = cleaned(text)
    return dialled(written) if re.match(PHONE_PATTERN, written) else None


def dialled(number: str) -> str:
    """A phone number in E.164 if it begins with a country code, otherwise its digits: `0049 (0)30 123456` is
    `+4930123456`. A number that is in E.164 already is not looked at further."""
    return number if PLAIN.fullmatch(number) else _dialled(number)


@lru_cache(4096)
def _dialled(number: str) -> str:
    if begins_with_country(number):
        with suppress(ValueError):
            return e164(number)
    return folded(number)


def address_or_number(text: str) -> str:
    """`text`, an email address or a phone number, as the ledger compares it; also as a `mailto:` or `tel:`
    URL. Raises ValueError with a reason that never repeats `text`."""
    written = text.strip()
    scheme = written.partition(":")[0]
    if scheme.lower() in ("mailto", "tel"):
        return (key_of_url(written) or "").partition(":")[2]
    if "@" in written:
        return folded(one_address(written))
    if (number := phone_number(written)) is None:
        raise ValueError("neither an email address nor a phone number")
    return number


def reaches_somebody(id: str) -> bool:
    """Whether an id is or contains an address or phone number, so that it must be masked: also
    `whatsapp:+49...`, and a number in full-width characters."""
    written = cleaned(id)
    return "@" in written or bool(_DIALLED.search(written))


def url_of(address: str) -> str:
    """`mailto:` or `tel:` and the folded address: the ledger's key of a recipient without an id."""
    return f"{'mailto' if '@' in address else 'tel'}:{folded(address)}"


def is_address_url(key: str) -> bool:
    """Whether the key of a recipient is made from an address; no id looks like one."""
    return key.startswith(("mailto:", "tel:"))


def key_of_url(text: str) -> str | None:
    """The ledger's key for the address in a `mailto:` or `tel:` URL; None if `text` is not such a URL.

    Raises ValueError if the URL has no valid address."""
    scheme, _, rest = text.partition(":")
    match scheme.lower():
        case "mailto":
            return url_of(one_address(rest))
        case "tel":
            if (number := phone_number(rest)) is None:
                raise ValueError("not a valid phone number")
            return url_of(number)
        case _:
            return None


def keys_of(text: str) -> tuple[str, ...]:
    """The keys that the recipient named by `text` may have in the ledger: the text itself as an id, and an
    address or phone number as a URL. An id may look like an address or a phone number."""
    address = named_address(text) or phone_number(text)
    return (text, url_of(address)) if address else (text,)
