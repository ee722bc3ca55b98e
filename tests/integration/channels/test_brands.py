"""Two brands through one worker and one mail server: each mail is its own brand's, from its envelope on."""

import email
from base64 import b64encode
from email import policy

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.flow_steps import run
from support.ledger import NOTE, ask, rows

from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.ledger.intake.accept import accept, accept_for_run
from waypost.ledger.operations import search, timeline

pytestmark = pytest.mark.anyio
KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
BRANDS = {
    "acme": {
        "sender": "Acme <no-reply@acme.example>",
        "reply_to": "Acme Help <help@acme.example>",
        "logo": "https://acme.example/logo.png",
        "accent": "#0b7285",
        "accent_dark": "#66d9e8",
        "postal_address": ["1 Quay Lane", "Wells"],
        "footer": "Company 7\nVAT 8",
        "signature": "Your Acme team",
    },
    "default": {"footer": ["Of the shop"]},
}
TEXT = (
    "{{ sender.name }}|{{ sender.signature }}|{{ sender.support }}|{{ brand.name }}|{{ brand.logo }}|"
    "{{ brand.accent }}|{{ brand.accent_dark }}|{{ brand.postal_address | join('/') }}|"
    "{{ brand.footer | join('/') }}"
)
MJML = (
    "<mjml><mj-body><mj-section><mj-column><mj-text>{{ brand.name }}: {{ brand.footer | join('/') }}"
    "</mj-text></mj-column></mj-section></mj-body></mjml>"
)


@pytest.fixture
async def worker(ledger, bent, smtp, tmp_path):
    """Makes a runtime with these settings beside the two brands, and its mail server."""
    folder = tmp_path / "templates" / "note" / "en"
    folder.mkdir(parents=True)
    for name, text in (
        ("subject.txt", "{{ brand.name }}"),
        ("short.txt", "-"),
        ("body.txt", TEXT),
        ("body.mjml", MJML),
    ):
        (folder / name).write_text(text)
    server, opened = bent(), []

    async def make(*others, **more):
        named = {"sender": "Shop <s@shop.example>", "reply_to": "help@shop.example", "signature": "Shop Ltd"}
        settings = Settings(templates=folder.parents[1], **({"brands": BRANDS, **named} | more))
        opened.append(Runtime(settings, ledger, [await smtp(server), *others]))
        return opened[-1]

    yield make, server
    for runtime in opened:
        await runtime.close()


def read(server):
    """Each mail by its From, with its envelope's sender, and its text and HTML."""
    mails = ((one.mail_from, email.message_from_bytes(one.content, policy=policy.default)) for one in server)
    return {
        mail["From"]: (
            mail_from,
            mail["Reply-To"],
            mail["Subject"],
            mail.get_body(("plain",)).get_content().strip(),
            mail.get_body(("html",)).get_content(),
        )
        for mail_from, mail in mails
    }


async def test_each_mail_is_its_own_brands(ledger, worker):
    make, server = worker
    runtime = await make()
    await accept(ledger, NOTE, [ask(to="ada"), ask(to="bob", brand="acme")])
    await run(runtime)
    found = read(server.taken)
    *acme, html = found["Acme <no-reply@acme.example>"]
    assert acme == [
        "no-reply@acme.example",
        "Acme Help <help@acme.example>",
        "Acme",
        "Acme|Your Acme team|help@acme.example|Acme|https://acme.example/logo.png|#0b7285|#66d9e8|"
        "1 Quay Lane/Wells|Company 7/VAT 8",
    ]
    assert "Acme: Company 7/VAT 8" in html
    *shop, html = found["Shop <s@shop.example>"]
    assert shop == [
        "s@shop.example",
        "help@shop.example",
        "Shop",
        "Shop|Shop Ltd|help@shop.example|Shop|||||Of the shop",
    ]
    assert "Shop: Of the shop" in html


async def test_a_brand_that_the_worker_does_not_know_puts_that_notification_off_alone(ledger, worker):
    make, server = worker
    runtime = await make(brands={})
    await accept(ledger, NOTE, [ask(to="ada"), ask(to="bob", brand="acme")])
    await run(runtime)
    found = {row.recipient_key: (row.state, row.reason) for row in await rows(ledger)}
    assert found["ada"] == ("sent", "")
    assert found["bob"][0] == "deferred"
    assert found["bob"][1].startswith("this worker knows no brand acme: add it to WAYPOST_BRANDS")
    assert len(server.taken) == 1


async def test_a_run_refuses_a_request_for_an_unknown_brand_alone(ledger, worker):
    runtime = await worker[0]()
    asked = [ask(to="ada", brand="nope"), ask(to="bob", brand="acme")]
    _, [refused, taken] = await accept_for_run(ledger, NOTE, asked, None, runtime.brands)
    assert str(refused) == "brand: there is no brand nope; brands: default, acme"
    assert taken.outcome == "accepted"


async def test_a_brand_uses_its_own_providers(ledger, worker):
    other = MemoryChannel("other")
    runtime = await worker[0](other, brands={"acme": {**BRANDS["acme"], "providers": {"email": ["other"]}}})
    await accept(ledger, NOTE, [ask(to="ada"), ask(to="bob", brand="acme")])
    await run(runtime)
    assert [one.address for one in other.sent] == ["bob@a.example"]
    assert [one.rcpt_tos for one in worker[1].taken] == [["ada@a.example"]]


async def test_a_brand_whose_providers_are_all_gone_waits_and_says_so(ledger, worker):
    runtime = await worker[0](brands={"acme": {**BRANDS["acme"], "providers": {"email": ["gone"]}}})
    await accept(ledger, NOTE, [ask(to="ada"), ask(to="bob", brand="acme")])
    await run(runtime)
    found = {row.recipient_key: (row.state, row.reason) for row in await rows(ledger)}
    assert (found["ada"][0], found["bob"][0]) == ("sent", "deferred")
    assert "the brand acme has no provider for email that exists" in found["bob"][1]


async def test_each_brand_is_signed_for_its_own_domain(ledger, worker):
    key = b64encode(KEY).decode()
    runtime = await worker[0](
        dkim_key=f"{key},{key}", dkim_selector="a,b", dkim_domain="shop.example,acme.example"
    )
    await accept(ledger, NOTE, [ask(to="ada"), ask(to="bob", brand="acme")])
    await run(runtime)
    record = runtime.signers[0].record.encode()
    assert len(worker[1].taken) == 2
    for one in worker[1].taken:
        domain, selector = one.mail_from.partition("@")[2], {"s": "a", "n": "b"}[one.mail_from[0]]
        asked = []
        assert dkim.verify(one.content, dnsfunc=lambda name, asked=asked, **_: asked.append(name) or record)
        assert asked == [f"{selector}._domainkey.{domain}.".encode()]


async def test_a_brand_is_shown_and_found(ledger):
    await accept(ledger, NOTE, [ask(to="ada"), ask(to="bob", brand="acme")])
    for brand, who in (("default", "ada"), ("acme", "bob")):
        [entry] = (await search.find(ledger, search.Filter(brand=brand), reveal=True)).notifications
        assert (entry.brand, entry.recipient) == (brand, f"{who} {who}@a.example")
        assert (await timeline.explain(ledger, entry.id)).brand == brand
