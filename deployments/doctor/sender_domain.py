"""The checks behind `waypost doctor --domain`: the DNS records by which receivers judge our mails."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator, Sequence

from waypost.config.mail import dkim_signers
from waypost.config.settings import Settings
from waypost.deployments.doctor.finding import Finding
from waypost.mail.build import Sender
from waypost.mail.dkim import Signer
from waypost.net.dns import DnsSilent, Lookup

SEE = "`waypost docs deliverability` shows the record"
_SHORTEST_RSA = 128  # bytes; a shorter value cannot be a key of 1024 bits


async def examine_domain(settings: Settings, lookup: Lookup) -> list[Finding]:
    """SPF, DKIM and DMARC of the sender's domain. A single finding when DNS gives no answer.

    Raises KeyUnusable for keys that cannot be read.
    """
    domain = Sender.parse(settings.default_sender).domain
    signers = dkim_signers(settings)
    try:
        return [
            spf_finding(domain, await lookup(domain)),
            *[dkim_finding(one, await lookup(_place(one))) for one in signers],
            *([] if signers else [_UNSIGNED]),
            *_unaligned(domain, signers),
            await _dmarc(domain, lookup),
        ]
    except DnsSilent as error:
        found = f"the DNS records of {domain} cannot be read: {error}"
        return [Finding("domain", ok=False, found=found, advice="try again, or run this where DNS works")]


_UNSIGNED = Finding(
    "dkim",
    ok=False,
    found="mails are not signed by Waypost",
    advice="set WAYPOST_DKIM_KEY, unless your provider signs for you; "
    "`waypost docs deliverability` shows how",
)


def spf_finding(domain: str, records: Sequence[str]) -> Finding:
    """RFC 7208: one record, which does not allow every sender."""
    found = [one for one in records if one.lower().split(" ")[0] == "v=spf1"]
    if len(found) != 1:
        told = f"{domain} has {len(found)} SPF records" if found else f"{domain} has no SPF record"
        return Finding("spf", ok=False, found=told, advice=f"publish exactly one; {SEE}")
    if any(term in ("all", "+all") for term in found[0].lower().split()):
        advice = "end it with -all or ~all, after the allowed servers"
        return Finding("spf", ok=False, found=f"any server may send for {domain}: {found[0]}", advice=advice)
    return Finding("spf", ok=True, found=found[0])


def dkim_finding(signer: Signer, records: Sequence[str]) -> Finding:
    """RFC 6376, section 3.6.1: one record, with the public half of the key that signs."""
    place = _place(signer)
    publish = f"publish there: {signer.record}"
    keys = [tags for one in records if "p" in (tags := _tags(one))]
    if len(keys) != 1:
        found = f"{place} has {len(keys)} records with a key" if keys else f"{place} has no record with a key"
        return Finding("dkim", ok=False, found=found, advice=publish)
    if not keys[0]["p"]:
        return Finding("dkim", ok=False, found=f"the key at {place} is revoked", advice=publish)
    if not _same(keys[0], _tags(signer.record)):
        found = f"the key at {place} does not match WAYPOST_DKIM_KEY"
        return Finding("dkim", ok=False, found=found, advice=publish)
    if "y" in keys[0].get("t", "").split(":"):
        found = f"the key at {place} is in test mode (t=y), so receivers may ignore it"
        return Finding(
            "dkim", ok=False, found=found, advice="remove t=y from the record when signatures pass"
        )
    return Finding("dkim", ok=True, found=f"{place} matches the signing key ({signer.algorithm})")


def _same(published: dict[str, str], ours: dict[str, str]) -> bool:
    """Whether both are the same key; an RSA key may be published with or without its algorithm header."""
    if published.get("k", "rsa") != ours["k"]:
        return False
    try:
        key = b64decode(published["p"])
    except binascii.Error:
        return False
    own = b64decode(ours["p"])
    return key == own or (ours["k"] == "rsa" and len(key) > _SHORTEST_RSA and own.endswith(key))


def _unaligned(domain: str, signers: Sequence[Signer]) -> Iterator[Finding]:
    """RFC 7489, section 3.1.1. Without a list of public suffixes, one domain must be within the other."""
    for one in signers:
        if not (_within(domain, one.domain) or _within(one.domain, domain)):
            found = f"{one.domain} signs for {domain}, but DMARC does not accept that domain"
            yield Finding("alignment", ok=False, found=found, advice="correct WAYPOST_DKIM_DOMAIN")


def _within(domain: str, parent: str) -> bool:
    return f".{domain}".endswith(f".{parent}")


async def _dmarc(domain: str, lookup: Lookup) -> Finding:
    """The record of the domain, or of its nearest parent that has one."""
    labels = domain.split(".")
    for above in (".".join(labels[at:]) for at in range(len(labels) - 1)):
        if found := [one for one in await lookup(f"_dmarc.{above}") if _tags(one).get("v") == "DMARC1"]:
            return dmarc_finding(domain, above, found)
    return Finding("dmarc", ok=False, found=f"_dmarc.{domain} has no record", advice=SEE)


def dmarc_finding(domain: str, above: str, records: Sequence[str]) -> Finding:
    """RFC 7489, section 6.3: one record, with a policy."""
    tags = _tags(records[0])
    if len(records) > 1 or tags.get("p") not in ("none", "quarantine", "reject"):
        found = f"_dmarc.{above} does not have exactly one record with p=none, quarantine or reject"
        return Finding("dmarc", ok=False, found=found, advice=SEE)
    policy = tags["p"] if above == domain else tags.get("sp", tags["p"])
    where = "" if above == domain else f", from _dmarc.{above}"
    return Finding("dmarc", ok=True, found=f"policy for failing mail of {domain}: {policy}{where}")


def _place(signer: Signer) -> str:
    return f"{signer.selector}._domainkey.{signer.domain}"


def _tags(record: str) -> dict[str, str]:
    """`v=DKIM1; k=rsa; p=MII...` by name, without blanks (RFC 6376, section 3.2)."""
    pairs = ("".join(part.split()).partition("=") for part in record.split(";"))
    return {name.lower(): value for name, separator, value in pairs if separator}
