"""The signing keys as the settings have them: looked at by `waypost doctor`, and before anything is sent."""

import shutil
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from waypost.config.mail import dkim_signers
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.deployments.doctor.providers import signing_finding
from waypost.mail.dkim_keys import KeyUnusable

pytestmark = pytest.mark.anyio
KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
BASE64 = b64encode(KEY).decode()
SENDER = "Shop <no-reply@mail.shop.example>"


@pytest.mark.parametrize(
    ("given", "domain"), [({}, "mail.shop.example"), ({"dkim_domain": "shop.example"}, "shop.example")]
)
def test_the_senders_domain_signs_unless_another_is_set(given, domain):
    [signer] = dkim_signers(Settings(sender=SENDER, dkim_key=BASE64, dkim_selector="s2026", **given))
    assert (signer.domain, signer.selector) == (domain, "s2026")


@pytest.mark.parametrize(
    ("given", "level", "found"),
    [
        ({}, "note", "mails are not signed"),
        (
            {"dkim_key": BASE64, "dkim_selector": "s2026"},
            "ok",
            "s2026._domainkey.mail.shop.example (ed25519-sha256)",
        ),
        (
            {"dkim_key": "/hunter2", "dkim_selector": "s2026"},
            "bad",
            "WAYPOST_DKIM_KEY: the file cannot be read (No such file or directory)",
        ),
        ({"dkim_selector": "s2026"}, "bad", "WAYPOST_DKIM_KEY is not set, though WAYPOST_DKIM_SELECTOR is"),
    ],
)
def test_doctor_tells_of_the_keys(given, level, found):
    finding = signing_finding(Settings(sender=SENDER, **given))
    assert (finding.level, finding.found, bool(finding.advice)) == (level, found, level != "ok")


async def test_nothing_starts_with_a_key_that_cannot_be_used(tmp_path, empty_ledger):
    shutil.copy(empty_ledger, tmp_path / "ledger.db")
    settings = Settings(home=tmp_path, dkim_key="hunter2", dkim_selector="s2026")
    with pytest.raises(KeyUnusable, match="WAYPOST_DKIM_KEY"):
        async with Runtime.open(settings):
            pass
