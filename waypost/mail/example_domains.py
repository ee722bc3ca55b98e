"""Domains reserved for examples (RFC 2606, RFC 6761): mail from them does not arrive."""

from __future__ import annotations

from waypost.mail.internal_domains import internal_domain

_TOP_LEVEL = frozenset({"test", "example", "invalid"})
_SECOND_LEVEL = frozenset({"example.com", "example.net", "example.org"})


def is_example(domain: str) -> bool:
    """Whether `domain` is, or lies below, a domain for examples. A domain in WAYPOST_INTERNAL_DOMAINS is in
    use, so it is not an example."""
    labels = domain.lower().rstrip(".").split(".")
    reserved = labels[-1] in _TOP_LEVEL or ".".join(labels[-2:]) in _SECOND_LEVEL
    return reserved and internal_domain(domain) is None
