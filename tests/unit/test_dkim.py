"""Signatures that a verifier which is not ours takes, and that break when what they cover is changed."""

import re
from base64 import b64encode
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st

from waypost.mail.build import Extras, Sender, build
from waypost.mail.dkim import COVERED, OVERSIGNED, Signer, relaxed_body, relaxed_value, signed
from waypost.mail.dkim_keys import KeyUnusable, signers

RSA = rsa.generate_private_key(65537, 2048)
ED = Ed25519PrivateKey.generate()
BOTH = [Signer("shop.example", "r2026", RSA), Signer("shop.example", "e2026", ED)]
DATE = datetime(2026, 3, 1, tzinfo=UTC)
UNSUBSCRIBE = Extras(
    reply_to="Hilfe für alle <help@shop.example>",
    list_unsubscribe=f"https://shop.example/u?t={'x' * 500} mailto:stop@shop.example",
    one_click=True,
)


def mail(plain="text\n", html="<p>text</p>\n", subject="Hello", extras=UNSUBSCRIBE):
    return build(
        id=UUID(int=7),
        sender=Sender("Bücher & Söhne", "no-reply@shop.example"),
        to="ada@a.example",
        to_name="Ada",
        subject=subject,
        plain=plain,
        html=html,
        date=DATE,
        extras=extras,
    )


def published(signer):
    name = f"{signer.selector}._domainkey.{signer.domain}.".encode()
    return lambda asked, timeout=5: signer.record.encode() if asked == name else None


def verified(raw, known=BOTH):
    """What an independent verifier says of each signature, in order."""
    return [holds(raw, index, signer) for index, signer in enumerate(known)]


def holds(raw, index, signer):
    try:
        return dkim.DKIM(raw).verify(idx=index, dnsfunc=published(signer))
    except dkim.ValidationError:  # another body
        return False


@pytest.mark.parametrize("known", [BOTH[:1], BOTH[1:], BOTH])
def test_an_independent_verifier_takes_every_signature(known):
    assert verified(signed(mail(), known, DATE), known) == [True] * len(known)


@given(
    plain=st.text("ab =.\t\r\n-ü", max_size=200),
    html=st.text("<p> \t\n=é", max_size=200),
    subject=st.text("abc ü:;=", max_size=150),
)
@example("a  \n \n\t\n\n\n", "\n", "a  b")
@example("", "", "")
def test_whatever_a_mail_says_its_signatures_hold(plain, html, subject):
    assert verified(signed(mail(plain, html, subject), BOTH, DATE)) == [True, True]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: Hello", b"Subject: Hullo"),
        (b"<p>text", b"<p>test"),
        (b"t=xx", b"t=xy"),
        (b"One-Click", b"Two-Click"),
        (b"help@shop", b"hell@shop"),
        (b"multipart/alternative", b"multipart/mixed"),
        (b"Message-ID: <0", b"Message-ID: <1"),
        (b"MIME-Version: 1.0", b"MIME-Version: 1.1"),
    ],
)
def test_what_a_signature_covers_cannot_be_changed(old, new):
    raw = signed(mail(), BOTH, DATE)
    assert old in raw
    assert verified(raw.replace(old, new, 1)) == [False, False]


@pytest.mark.parametrize("extras", [UNSUBSCRIBE, Extras()], ids=["all fields", "few fields"])
@pytest.mark.parametrize("name", OVERSIGNED)
@pytest.mark.parametrize("place", [b"To: Ada", b"Auto-Submitted:"], ids=["above", "below"])
def test_no_signed_field_can_be_added_whether_or_not_the_mail_has_it(name, extras, place):
    raw = signed(mail(extras=extras), BOTH, DATE)
    added = raw.replace(place, f"{name}: <eve@evil.example>\r\n".encode() + place, 1)
    assert (verified(raw), verified(added)) == ([True, True], [False, False])


def test_every_field_of_a_mail_that_is_passed_on_is_covered_where_rfc_6376_advises_it():
    given = {name.encode(): b"x" for name in (*OVERSIGNED, *COVERED)}
    raw = b"".join(b"%b: %b\r\n" % field for field in given.items()) + b"\r\nHello\r\n"
    sent = signed(raw, BOTH, DATE)
    assert verified(sent) == [True, True]
    for name in given:
        assert verified(sent.replace(b"\r\n%b: x" % name, b"\r\n%b: y" % name)) == [False, False], name


def test_what_a_relay_rewrites_breaks_no_signature_that_leaves_it_out():
    known = signers(f"{der(RSA)}, {SEED}", "r2026, e2026", "shop.example", "date, Message-ID")
    raw = signed(mail(), known, DATE)
    for name in (b"Date", b"Message-ID"):
        raw = re.sub(rb"\r\n%b: [^\r]*" % name, rb"\r\n%b: <of@the.relay>" % name, raw)
    assert verified(raw, known) == [True, True]
    assert verified(raw.replace(b"Subject: Hello", b"Subject: Hullo"), known) == [False, False]


def test_blanks_that_servers_change_on_the_way_break_nothing():
    raw = signed(mail("a  b\t c \n"), BOTH, DATE)
    assert verified(raw.replace(b"a  b\t c ", b"a b c").replace(b"Subject: ", b"Subject:   ")) == [True, True]


def test_lines_stay_as_long_as_they_may_be_and_end_as_they_must():
    raw = signed(mail(), BOTH, DATE)
    added = raw.removesuffix(mail())
    assert max(map(len, added.split(b"\r\n"))) <= 78
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_without_a_key_nothing_is_added():
    assert signed(mail(), [], DATE) == mail()


def test_a_signer_shows_no_key():
    assert "key" not in repr(BOTH[0]).replace("Key", "")


@pytest.mark.parametrize(
    ("body", "relaxed"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),  # RFC 6376, section 3.4.5
        (b"a", b"a\r\n"),
        (b"a\r\n \t\r\n", b"a\r\n"),
    ],
)
def test_a_body_is_relaxed_as_the_rfc_shows(body, relaxed):
    assert relaxed_body(body) == relaxed


@pytest.mark.parametrize(
    ("value", "relaxed"), [(b" X\t", b"X"), (b" Y\t\r\n\tZ  ", b"Y Z"), (b"  \r\n <u>", b"<u>")]
)
def test_a_header_is_relaxed_as_the_rfc_shows(value, relaxed):
    assert relaxed_value(value) == relaxed


def pem(key, form=PrivateFormat.PKCS8, lock=None):
    return key.private_bytes(Encoding.PEM, form, lock or NoEncryption()).decode()


def der(key, form=PrivateFormat.PKCS8):
    return b64encode(key.private_bytes(Encoding.DER, form, NoEncryption())).decode()


SEED = b64encode(ED.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())).decode()


@pytest.mark.parametrize(
    ("value", "algorithm"),
    [
        (pem(RSA), "rsa-sha256"),
        (pem(RSA, PrivateFormat.TraditionalOpenSSL), "rsa-sha256"),
        (pem(RSA).replace("\n", "\\n"), "rsa-sha256"),
        (der(RSA), "rsa-sha256"),
        (der(RSA, PrivateFormat.TraditionalOpenSSL), "rsa-sha256"),
        (pem(ED), "ed25519-sha256"),
        (der(ED), "ed25519-sha256"),
        (SEED, "ed25519-sha256"),
    ],
    ids=count(),  # keys differ from run to run
)
@pytest.mark.parametrize("in_a_file", [False, True])
def test_a_key_is_read_in_every_usual_form(tmp_path, value, algorithm, in_a_file):
    if in_a_file:
        path = tmp_path / "dkim.key"
        path.write_text(value + "\n")
        value = str(path)
    [signer] = signers(value, "s2026", "bücher.example")
    assert (signer.algorithm, signer.domain) == (algorithm, "xn--bcher-kva.example")


def test_several_keys_are_told_apart_by_their_selectors():
    found = signers(f"{der(RSA)}, {SEED}", "r2026, e2026", "shop.example")
    assert [(one.selector, one.algorithm) for one in found] == [
        ("r2026", "rsa-sha256"),
        ("e2026", "ed25519-sha256"),
    ]


def test_without_settings_nothing_signs():
    assert signers("", "", "shop.example") == []


PUBLIC = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
SHORT = rsa.generate_private_key(65537, 1024)


@pytest.mark.parametrize(
    ("keys", "selectors", "domain", "why"),
    [
        ("/hunter2/key.pem", "s", "shop.example", "WAYPOST_DKIM_KEY: the file cannot be read (No such file"),
        ("/", "s", "shop.example", "WAYPOST_DKIM_KEY: the file cannot be read (Is a directory)"),
        ("hunter2", "s", "shop.example", "WAYPOST_DKIM_KEY is neither an existing file nor a private key"),
        ("hunter2" * 9999, "s", "shop.example", "WAYPOST_DKIM_KEY is neither an existing file"),
        ("hunter2\0", "s", "shop.example", "WAYPOST_DKIM_KEY is neither an existing file"),
        (der(RSA)[:-40], "s", "shop.example", "WAYPOST_DKIM_KEY is neither an existing file"),
        (pem(RSA)[:900], "s", "shop.example", "WAYPOST_DKIM_KEY is neither an existing file"),
        (PUBLIC, "s", "shop.example", "WAYPOST_DKIM_KEY is a public key"),
        (pem(RSA, lock=BestAvailableEncryption(b"hunter2")), "s", "shop.example", "with a password"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "s", "shop.example", "RSA or Ed25519"),
        (SEED, "", "shop.example", "WAYPOST_DKIM_SELECTOR has 0 and WAYPOST_DKIM_KEY 1 entries"),
        (SEED, "a,b", "shop.example", "WAYPOST_DKIM_SELECTOR has 2 and WAYPOST_DKIM_KEY 1 entries"),
        (f"{SEED},{der(RSA)}", "a,a", "shop.example", "the same selector twice"),
        (SEED, "a b", "shop.example", "WAYPOST_DKIM_SELECTOR may have only"),
        (SEED, "s;d=evil.example", "shop.example", "WAYPOST_DKIM_SELECTOR may have only"),
        (SEED, "s", "no domain", "WAYPOST_DKIM_DOMAIN is not a domain"),
        ("", "s", "shop.example", "WAYPOST_DKIM_KEY is not set"),
    ],
    ids=count(),
)
def test_a_key_that_cannot_be_used_is_named_by_its_setting_and_never_repeated(keys, selectors, domain, why):
    with pytest.raises(KeyUnusable) as refused:
        signers(keys, selectors, domain)
    assert why in str(refused.value)
    assert not any(part in str(refused.value) for part in ("hunter2", SEED, der(RSA)[:20]))
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "names", ["From", "Date; Subject", "X-Order", "Date, list-unsubscribe", "List-Unsubscribe-Post"]
)
def test_only_what_a_signature_may_leave_out_is_left_out(names):
    with pytest.raises(KeyUnusable, match="WAYPOST_DKIM_UNSIGNED: use any of Reply-To"):
        signers(SEED, "s", "shop.example", names)


def test_an_rsa_key_under_1024_bits_is_refused(monkeypatch):
    monkeypatch.setattr("waypost.mail.dkim_keys.LEAST_BITS", 1025)  # cryptography makes no shorter ones
    with pytest.raises(KeyUnusable, match="WAYPOST_DKIM_KEY is an RSA key of 1024 bits"):
        signers(der(SHORT), "s", "shop.example")
