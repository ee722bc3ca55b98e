"""Brands as the settings have them, which brand a request is for, and what a brand changes in a mail."""

import asyncio
import json
from base64 import b64encode
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError
from support.ledger import NOTE, ask
from typer.testing import CliRunner

from waypost.channels.memory import MemoryChannel
from waypost.cli import app
from waypost.cli.errors import explained, pages
from waypost.config.brands import brands
from waypost.config.mail import allowed_senders, dkim_signers, signers_of
from waypost.config.settings import Settings, prepare_home
from waypost.delivery.channel_factory import providers
from waypost.deployments.doctor.brands import brand_findings, key_findings
from waypost.deployments.file_send import read
from waypost.deployments.registry import find
from waypost.ledger import open_ledger
from waypost.ledger.intake.accept import accept
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.records.api_keys import ApiKey
from waypost.mail.dkim_keys import KeyUnusable
from waypost.model.brand import DEFAULT, Brand, BrandTerms
from waypost.policy import acceptance
from waypost.policy.route_steps import steps
from waypost.system.clock import now

ACME = {"sender": "Acme <no-reply@acme.example>"}
KEY = b64encode(
    Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
).decode()


def test_the_default_brand_is_made_of_the_settings():
    settings = Settings(sender="Shop <s@shop.example>", reply_to="help@shop.example", signature="Shop Ltd")
    assert brands(settings) == {
        DEFAULT: Brand(DEFAULT, "Shop", "Shop <s@shop.example>", "help@shop.example", "Shop Ltd")
    }


def test_what_is_said_of_the_default_brand_replaces_the_settings():
    terms = {"name": "The Shop", "signature": "", "sender": "Two <t@two.example>", "accent": "#0b7285"}
    settings = Settings(signature="Shop Ltd", reply_to="help@shop.example", brands={DEFAULT: terms})
    [found] = brands(settings).values()
    assert found.name == "The Shop"
    assert (found.sender, found.signature) == ("Two <t@two.example>", "")
    assert (found.reply_to, found.accent) == ("help@shop.example", "#0b7285")


def test_another_brand_takes_nothing_from_the_default():
    settings = Settings(signature="Shop Ltd", reply_to="help@shop.example", brands={"acme": ACME})
    found = brands(settings)["acme"]
    assert (found.name, found.signature, found.reply_to) == ("Acme", "", "")
    assert [*brands(settings)] == [DEFAULT, "acme"]


def test_lines_are_a_list_or_a_text():
    terms = BrandTerms(**ACME, postal_address="1 Quay Lane\nWells", footer=["a", "b"])
    assert (terms.postal_address, terms.footer) == (["1 Quay Lane", "Wells"], ["a", "b"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hunter2", 'not JSON such as {"acme": {"sender":'),
        ('{"acme": "hunter2"}', "acme: not an object"),
        ('{"acme": {}}', "acme.sender: missing"),
        ('{"Two Words": {"sender": "hunter2"}}', "Two Words: not a brand's name: use small letters"),
        ('{"acme": {"sender": "hunter2"}}', "acme.sender: not a single sender such as"),
        ('{"acme": {"reply_to": "hunter2"}}', "acme.reply_to: Reply-To is not a single address"),
        ('{"acme": {"logo": "http://hunter2.example/"}}', "acme.logo: not an address that begins with https"),
        ('{"acme": {"accent": "hunter2"}}', "acme.accent: not a colour of six hexadecimal digits"),
        ('{"acme": {"footer": ["\\u0000hunter2"]}}', "acme.footer.0: not one line of text"),
        ('{"acme": {"colour": "hunter2"}}', "acme.colour: there is no such term; there are name, sender,"),
        ('{"acme": {"providers": ["hunter2"]}}', "acme.providers: not an object"),
        ('{"acme": {"providers": {"email": "hunter2"}}}', "acme.providers.email: not a list"),
        ('{"acme": {"providers": {"Email": ["ses"]}}}', "acme.providers.Email: not a kind of channel"),
    ],
)
def test_a_fault_names_the_brand_and_the_field_and_repeats_no_value(monkeypatch, value, said):
    monkeypatch.setenv("WAYPOST_BRANDS", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    told = explained(refused.value)
    assert told is not None
    assert told.startswith(f"WAYPOST_BRANDS: {said}")
    assert pages(refused.value) == "`waypost docs brands`"
    assert "hunter2" not in told + str(refused.value)


@pytest.mark.parametrize(
    ("of_key", "of_request", "of_type", "chosen"),
    [
        (None, None, None, DEFAULT),
        (None, None, "third", "third"),
        (None, "acme", "third", "acme"),
        (None, DEFAULT, "third", DEFAULT),
        ("acme", None, "third", "acme"),
        ("acme", "acme", None, "acme"),
    ],
)
def test_the_key_comes_before_the_request_before_the_type(of_key, of_request, of_type, chosen):
    type, request = replace(NOTE, brand=of_type), ask(brand=of_request)
    assert acceptance.brand_of(request, type, of_key) == chosen
    assert not acceptance.faults(request, type, (DEFAULT, "acme", "third"), of_key)


@pytest.mark.parametrize(
    ("of_key", "of_request", "of_type", "said"),
    [
        (None, "nope", None, "there is no brand nope; brands: default, acme"),
        (None, None, "nope", "of the type: there is no brand nope; brands: default, acme"),
        ("nope", None, None, "of the API key: there is no brand nope"),
        ("acme", DEFAULT, None, "this API key sends for the brand acme only; leave brand out"),
        ("acme", "nope", None, "this API key sends for the brand acme only; leave brand out"),
    ],
)
def test_an_unknown_brand_is_refused_with_those_there_are(of_key, of_request, of_type, said):
    found = acceptance.faults(ask(brand=of_request), replace(NOTE, brand=of_type), (DEFAULT, "acme"), of_key)
    assert found == [("brand", said)]


@pytest.mark.parametrize("wrong", ["Acme", "acme shop", "", "x" * 42])
def test_a_brands_name_that_is_none_is_refused(wrong):
    with pytest.raises(ValidationError):
        ask(brand=wrong)


def test_the_same_key_and_body_for_another_brand_of_another_api_key_is_another_request():
    request = ask(idempotency_key="k")
    plain, acme, again = (Candidate(NOTE, request, "shop", key_brand=one) for one in (None, "acme", "acme"))
    assert plain.body_hash != acme.body_hash
    assert acme.body_hash == again.body_hash


FIRST, SECOND = MemoryChannel("first", "email"), MemoryChannel("second", "email")
TEXTS, ANY = MemoryChannel("texts", "sms"), MemoryChannel("any", "*")


@pytest.mark.parametrize(
    ("route", "of_brand", "taken"),
    [
        ("email sms", {}, "email:first email:second sms:texts sms:any"),
        ("email sms", {"email": ["second"]}, "email:second sms:texts sms:any"),
        ("email sms", {"email": ["second", "first"]}, "email:second email:first sms:texts sms:any"),
        ("email sms", {"sms": ["any"]}, "email:first email:second sms:any"),
        ("email sms chat", {"sms": ["texts"]}, "email:first email:second sms:texts chat:any"),
        ("email:first sms", {"email": ["second"]}, "sms:texts sms:any"),
        ("email", {"email": ["gone"]}, ""),
        ("email", {"sms": ["texts"]}, "email:first email:second"),
    ],
)
def test_a_brands_providers_restrict_and_order_a_route(route, of_brand, taken):
    found = steps(route.split(), [FIRST, SECOND, TEXTS, ANY], of_brand)
    assert " ".join(f"{kind}:{channel.name}" for kind, channel in found) == taken


def signed(**more):
    keys = {"dkim_key": f"{KEY},{KEY}", "dkim_selector": "s1,s1"}
    return Settings(**{"sender": "s@shop.example", "brands": {"acme": ACME}, **keys, **more})


def domains(settings, name):
    return [one.domain for one in signers_of(brands(settings)[name], dkim_signers(settings))]


def test_each_brand_is_signed_by_the_keys_of_its_domain():
    settings = signed(dkim_domain="shop.example, acme.example")
    assert domains(settings, DEFAULT) == ["shop.example"]
    assert domains(settings, "acme") == ["acme.example"]


def test_a_brand_without_a_key_is_not_signed_by_anothers():
    settings = signed(dkim_key=KEY, dkim_selector="s1")
    assert domains(settings, DEFAULT) == ["shop.example"]
    assert domains(settings, "acme") == []
    assert domains(signed(dkim_key=KEY, dkim_selector="s1", dkim_domain="esp.example"), DEFAULT) == [
        "esp.example"
    ]


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("a.example,b.example,c.example", "WAYPOST_DKIM_DOMAIN has 3 and WAYPOST_DKIM_KEY 2 entries"),
        ("a.example,a.example", "WAYPOST_DKIM_SELECTOR has the same selector twice for a domain"),
        ("a.example", "WAYPOST_DKIM_SELECTOR has the same selector twice for a domain"),
        ("a.example,no domain", "WAYPOST_DKIM_DOMAIN is not a domain"),
    ],
)
def test_domains_that_do_not_go_with_the_keys_are_refused(domain, said):
    with pytest.raises(KeyUnusable, match=said):
        dkim_signers(signed(dkim_domain=domain))


def test_a_finished_mail_of_a_brand_may_be_from_its_own_domain_alone():
    settings = Settings(sender="s@shop.example", brands={"acme": ACME}, submission_senders="b@other.example")
    acme = allowed_senders(settings, brands(settings)["acme"])
    assert acme.allow(["x@acme.example", "b@other.example"])
    assert not acme.allow(["s@shop.example"])
    assert not allowed_senders(settings).allow(["x@acme.example"])


def test_a_brand_at_an_examples_domain_stops_before_mail_leaves_this_machine():
    named = {"sender": "s@shop.de", "brands": {"acme": ACME}}
    assert providers(Settings(smtp_url="smtp://127.0.0.1", **named))
    with pytest.raises(ValueError, match="the sender of acme in WAYPOST_BRANDS"):
        providers(Settings(smtp_url="smtp://mx.shop.de", **named))


def test_doctor_says_nothing_of_brands_where_there_is_only_the_default():
    assert brand_findings(Settings(), [FIRST]) == []


def test_doctor_lists_brands_and_their_faults():
    wrong = {**ACME, "providers": {"email": ["gone", "texts", "first"], "sms": ["any"]}}
    settings = signed(dkim_key=KEY, dkim_selector="s1", brands={"acme": wrong})
    listed, faults, unsigned = brand_findings(settings, [FIRST, TEXTS, ANY])
    assert listed.found == "default: s@shop.example; acme: Acme <no-reply@acme.example>"
    assert faults.found == (
        "acme.providers.email names gone, but no provider is called gone; "
        "acme.providers.email names texts, which serves sms"
    )
    assert (unsigned.level, unsigned.found) == ("note", "no key signs for acme.example")


def test_doctor_names_the_keys_of_brands_that_are_gone():
    made = [ApiKey(id, "shop", ["send"], None, now(), None, None, brand=id) for id in ("acme", "gone")]
    [found] = key_findings(made, (DEFAULT, "acme"))
    assert found.found == "API keys for brands that do not exist: gone (client shop): gone"
    assert key_findings([replace(made[0], brand=None)], (DEFAULT,)) == []


def test_the_commands_show_a_brand_that_is_not_the_default():
    prepare_home(Settings())
    assert CliRunner().invoke(app, ["db", "upgrade"]).exit_code == 0
    asyncio.run(_accept(ask(to="ada", brand="acme"), ask(to="bob")))
    listed = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)["notifications"]
    assert [one["brand"] for one in listed] == [DEFAULT, "acme"]
    assert "acme" in CliRunner().invoke(app, ["list", "--brand", "acme"]).stdout
    explained = CliRunner().invoke(app, ["explain", listed[1]["id"]]).stdout
    assert "brand      acme" in explained
    assert "brand" not in CliRunner().invoke(app, ["explain", listed[0]["id"]]).stdout


async def _accept(*requests):
    ledger = open_ledger(Settings().ledger_url)
    await accept(ledger, NOTE, requests)
    await ledger.close()


def test_a_line_of_a_file_for_an_unknown_brand_is_rejected():
    line = {"recipient": {"id": "ada", "email": "ada@a.example"}, "data": {}, "brand": "nope"}
    one = replace(find("alert"), type=NOTE)
    assert read(one, json.dumps(line).encode()) == "brand: there is no brand nope; brands: default"
    assert read(one, json.dumps(line).encode(), (DEFAULT, "nope")).brand == "nope"
