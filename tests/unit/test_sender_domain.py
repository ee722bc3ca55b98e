"""What others judge our mails by, as DNS has it, and what to do about it."""

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from waypost.config.settings import Settings
from waypost.deployments.doctor.sender_domain import dkim_finding, examine_domain, spf_finding
from waypost.mail.dkim import Signer
from waypost.net.dns import DnsSilent

pytestmark = pytest.mark.anyio
RSA = Signer("shop.example", "r", generate_private_key(65537, 2048))
ED = Signer("shop.example", "e", Ed25519PrivateKey.generate())
PKCS1 = b64encode(RSA.key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)).decode()
PUBLIC = RSA.record.partition("p=")[2]


@pytest.mark.parametrize(
    ("records", "ok", "found"),
    [
        (["v=spf1 include:a.example -all"], True, "v=spf1 include:a.example -all"),
        (["other", "V=SPF1 -all"], True, "V=SPF1 -all"),
        ([], False, "shop.example has no SPF record"),
        (["v=spf10 -all"], False, "shop.example has no SPF record"),
        (["v=spf1 -all", "v=spf1 ~all"], False, "shop.example has 2 SPF records"),
        (["v=spf1 +all"], False, "any server may send for shop.example: v=spf1 +all"),
    ],
)
def test_who_may_send(records, ok, found):
    finding = spf_finding("shop.example", records)
    assert (finding.ok, finding.found, bool(finding.advice)) == (ok, found, not ok)


@pytest.mark.parametrize(
    ("signer", "records", "ok", "found"),
    [
        (RSA, [RSA.record], True, "r._domainkey.shop.example matches the signing key (rsa-sha256)"),
        (ED, [ED.record], True, "e._domainkey.shop.example matches the signing key (ed25519-sha256)"),
        (RSA, [f"p={PUBLIC[:200]} {PUBLIC[200:]}"], True, "matches the signing key"),
        (RSA, [f"v=DKIM1; p={PKCS1}"], True, "matches the signing key"),
        (RSA, [], False, "r._domainkey.shop.example has no record with a key"),
        (RSA, ["v=spf1 -all"], False, "has no record with a key"),
        (RSA, [RSA.record, RSA.record], False, "has 2 records with a key"),
        (RSA, ["v=DKIM1; p="], False, "is revoked"),
        (RSA, [ED.record], False, "does not match WAYPOST_DKIM_KEY"),
        (ED, [f"v=DKIM1; {ED.record.partition('; k=ed25519; ')[2]}"], False, "does not match"),
        (RSA, ["v=DKIM1; p=%%%"], False, "does not match"),
        (RSA, [f"p={b64encode(b64decode(PUBLIC)[-20:]).decode()}"], False, "does not match"),
        (RSA, [f"{RSA.record}; t=y"], False, "is in test mode"),
    ],
)
def test_whether_our_key_is_published(signer, records, ok, found):
    finding = dkim_finding(signer, records)
    assert (finding.ok, found in finding.found, bool(finding.advice)) == (ok, True, not ok)


KEY = b64encode(ED.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())).decode()
WELL = {
    "mail.shop.example": ["v=spf1 -all"],
    "e._domainkey.shop.example": [ED.record],
    "_dmarc.shop.example": ["v=DMARC1; p=reject; sp=quarantine"],
}


async def examined(known, **more):
    async def lookup(name):
        if isinstance(known, Exception):
            raise known
        return known.get(name, [])

    given = {"dkim_key": KEY, "dkim_selector": "e", "dkim_domain": "shop.example", **more}
    return await examine_domain(Settings(sender="no-reply@mail.shop.example", **given), lookup)


async def test_all_is_well():
    found = await examined(WELL)
    assert [(one.what, one.ok) for one in found] == [("spf", True), ("dkim", True), ("dmarc", True)]
    assert (
        found[-1].found
        == "policy for failing mail of mail.shop.example: quarantine, from _dmarc.shop.example"
    )


@pytest.mark.parametrize(
    ("known", "more", "ill"),
    [
        ({}, {}, {"spf", "dkim", "dmarc"}),
        (WELL | {"_dmarc.mail.shop.example": ["v=DMARC1"]}, {}, {"dmarc"}),
        (WELL | {"_dmarc.mail.shop.example": ["v=DMARC1; p=none"] * 2}, {}, {"dmarc"}),
        (WELL, {"dkim_domain": "shop.example.com"}, {"dkim", "alignment"}),
        (WELL, {"dkim_key": None, "dkim_selector": ""}, {"dkim"}),
    ],
)
async def test_what_is_ill_is_told_with_what_to_do(known, more, ill):
    found = [one for one in await examined(known, **more) if not one.ok]
    assert {one.what for one in found} == ill
    assert all(one.advice for one in found)
    assert not any(KEY in one.found + one.advice for one in found)


async def test_silence_is_not_taken_for_an_answer():
    [found] = await examined(DnsSilent("this machine has no name servers"))
    assert (
        found.found == "the DNS records of mail.shop.example cannot be read: this machine has no name servers"
    )
    assert not found.ok
