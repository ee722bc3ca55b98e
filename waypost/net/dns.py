"""Looks up TXT records in DNS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import dns.exception
from dns.asyncresolver import Resolver
from dns.resolver import NXDOMAIN, NoAnswer, NoNameservers, NoResolverConfiguration

ANSWERS_WITHIN = 5.0  # seconds

# Returns the TXT records of a name, each as one text; empty without records. Raises DnsSilent.
Lookup = Callable[[str], Awaitable[list[str]]]


class DnsSilent(RuntimeError):
    """DNS gave no answer, so the name's records are unknown. Says why."""


async def txt(name: str, resolver: Resolver | None = None) -> list[str]:
    """A `Lookup` by `resolver`, by default the name servers of this machine."""
    try:
        answer = await (resolver or Resolver()).resolve(name, "TXT", lifetime=ANSWERS_WITHIN)
    except (NXDOMAIN, NoAnswer):
        return []
    except NoResolverConfiguration:
        raise DnsSilent("this machine has no name servers") from None
    except NoNameservers:
        raise DnsSilent("every name server reported a failure") from None
    except (dns.exception.DNSException, OSError) as error:
        timed_out = isinstance(error, dns.exception.Timeout)
        reason = f"no response within {ANSWERS_WITHIN:g} s" if timed_out else type(error).__name__
        raise DnsSilent(reason) from None
    return [b"".join(record.strings).decode(errors="replace") for record in answer]
