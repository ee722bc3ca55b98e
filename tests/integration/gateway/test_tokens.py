"""Access tokens of an issuer that runs: what opens, what does not, and what its being away does."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator

import anyio
import pytest
from joserfc.jwk import OctKey
from support.certificates import self_signed
from support.ledger import rows
from support.oidc_issuer import ABOUT, AUDIENCE, KEYS, LittleIssuer, issuing, make_key, proxying
from support.requests import alert

from waypost.config.settings import Settings
from waypost.deployments.doctor.gateway import examine_gateway
from waypost.gateway.auth.access_tokens import Tokens
from waypost.gateway.auth.authenticator import Caller
from waypost.gateway.auth.issuer_documents import LARGEST
from waypost.gateway.auth.issuer_keys import AGAIN_SECONDS, AWAY_SECONDS, FRESH_SECONDS, STALE_SECONDS, Issuer
from waypost.gateway.problems import Problem
from waypost.net.webhook_url import FORBIDDEN, PRIVATE

pytestmark = pytest.mark.anyio


class Clock:
    """A steady clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer() -> AsyncIterator[LittleIssuer]:
    async with issuing() as running:
        yield running


@pytest.fixture
def tokens(issuer: LittleIssuer, clock: Clock) -> Tokens:
    return Tokens(Issuer(issuer.url, clock), AUDIENCE)


async def told(tokens: Tokens, text: str) -> tuple[int, str]:
    """The status and the words that a token is refused with."""
    with pytest.raises(Problem) as refused:
        await tokens(text)
    assert text not in repr(refused.value.body())
    return refused.value.kind.status, refused.value.detail


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"])
async def test_a_token_opens_what_its_scopes_say(issuer, tokens, alg):
    issuer.keys["two"] = make_key(alg, "two")
    found = await tokens(issuer.token("two", alg, scope="profile send read:alert nonsense"))
    assert found == Caller("shop", ("send", "read:alert"), "token of shop")


@pytest.mark.parametrize(
    ("claims", "client"),
    [
        ({"client_id": "Shop"}, "shop"),
        ({"client_id": None, "azp": "web-shop"}, "web-shop"),
        ({"client_id": None, "sub": "0F2A-77"}, "0f2a-77"),
    ],
)
async def test_the_client_is_the_first_that_is_named(issuer, tokens, claims, client):
    assert (await tokens(issuer.token(**claims))).client == client


@pytest.mark.parametrize("scp", ["send read", ["send", "read", 7]])
async def test_scopes_may_be_in_scp(issuer, tokens, scp):
    assert (await tokens(issuer.token(scope=None, scp=scp))).scopes == ("send", "read")


@pytest.mark.parametrize("aud", [[AUDIENCE, "https://other.example"], [AUDIENCE]])
async def test_the_audience_may_be_one_of_several(issuer, tokens, aud):
    assert (await tokens(issuer.token(aud=aud))).client == "shop"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "application/at+jwt", None])
async def test_a_token_need_not_say_more_than_that_it_is_one(issuer, tokens, typ):
    assert (await tokens(issuer.token(header={"typ": typ}))).client == "shop"


async def test_a_clock_that_is_a_little_wrong_harms_nothing(issuer, tokens):
    moment = int(time.time())
    assert await tokens(issuer.token(exp=moment - 10, nbf=moment + 10, iat=moment + 10))


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"exp": 1_600_000_000}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": 1e400}, "exp"),
        ({"nbf": 4_000_000_000}, "nbf"),
        ({"iat": 4_000_000_000}, "iat"),
        ({"aud": "https://other.example"}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": [[AUDIENCE]]}, "aud"),
        ({"aud": AUDIENCE + "/"}, "aud"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": ["x"]}, "iss"),
    ],
)
async def test_a_claim_that_is_wrong_is_named(issuer, tokens, claims, word):
    status, words = await told(tokens, issuer.token(**claims))
    assert status == 401
    assert word in words


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"client_id": "has spaces"}, "client_id"),
        ({"client_id": "sho\u212a"}, "client_id"),  # a Kelvin sign, whose small letter is k
        ({"client_id": "x" * 42}, "client_id"),
        ({"client_id": ["shop"]}, "client_id"),
        ({"client_id": None, "sub": "auth0|7"}, "client_id"),
        ({"client_id": None, "sub": None}, "client_id"),
        ({"scope": "openid profile"}, "send, read, manage"),
        ({"scope": None}, "send, read, manage"),
        ({"scope": {"send": True}}, "send, read, manage"),
    ],
)
async def test_who_is_nobody_here_may_do_nothing(issuer, tokens, claims, word):
    status, words = await told(tokens, issuer.token(**claims))
    assert status == 403
    assert word in words


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(issuer: LittleIssuer, alg: str) -> str:
    return f"{part({'alg': alg, 'kid': 'one'})}.{part(issuer.claims())}."


def signed_with_the_public_key(issuer: LittleIssuer) -> str:
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(issuer.claims())}"
    digest = hmac.digest(issuer.keys["one"].as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def signed_by_another(issuer: LittleIssuer) -> str:
    return issuer.token(key=make_key("ES256", "one"))


def changed(issuer: LittleIssuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{part(issuer.claims(client_id='bank'))}.{signature}"


def brings_its_own_key(issuer: LittleIssuer) -> str:
    own = make_key("ES256", "one")
    return issuer.token(key=own, header={"jwk": own.as_dict(private=False), "jku": "https://evil.example"})


FORGED = {
    "none": lambda issuer: unsigned(issuer, "none"),
    "None": lambda issuer: unsigned(issuer, "None"),
    "no signature": lambda issuer: unsigned(issuer, "ES256"),
    "hmac with the public key": signed_with_the_public_key,
    "another's key of that name": signed_by_another,
    "claims that were changed": changed,
    "a key in the header": brings_its_own_key,
    "another algorithm": lambda issuer: unsigned(issuer, "RS256") + "AAAA",
    "a header that must be understood": lambda issuer: issuer.token(header={"crit": ["b64"], "b64": False}),
    "a logout token": lambda issuer: issuer.token(header={"typ": "logout+jwt"}),
    "a kid that is no text": lambda _: f"{part({'alg': 'ES256', 'kid': 7})}.e30.AAAA",
    "a header that is no object": lambda _: f"{part([])}.e30.AAAA",
    "deep nesting": lambda _: f"{part({'alg': 'ES256'})}.{base64.urlsafe_b64encode(b'[' * 9000).decode()}.AA",
    "dots": lambda _: "..",
    "no base64": lambda _: "a.b.c",
    "other letters": lambda _: "\u00e9.\u00e9.\u00e9",
    "huge": lambda issuer: issuer.token(sub="x" * 20_000),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_what_the_issuer_did_not_sign_opens_nothing(issuer, tokens, forge):
    assert (await tokens(issuer.token())).client == "shop"
    assert (await told(tokens, forge(issuer)))[0] == 401


async def test_keys_that_anybody_could_sign_with_are_not_used(issuer, tokens):
    leaked, shared = make_key("ES256", "leaked"), OctKey.generate_key(256, {"kid": "shared"})
    both = {"keys": [leaked.as_dict(private=True), shared.as_dict(private=True)]}
    issuer.document = lambda path: json.dumps(issuer.about if path == ABOUT else both).encode()
    assert (await told(tokens, issuer.token("leaked", key=leaked)))[0] == 401
    assert (await told(tokens, issuer.token("shared", "HS256", shared)))[0] == 401


async def test_a_key_need_not_be_named_where_there_is_one(issuer, tokens):
    text = issuer.token(header={"kid": None})
    assert (await tokens(text)).client == "shop"
    issuer.keys["two"] = make_key("ES256", "two")
    assert (await told(Tokens(Issuer(issuer.url), AUDIENCE), text))[0] == 401


async def test_a_large_document_is_read_up_to_its_limit(issuer, tokens):
    real = issuer.document

    def with_certificates(size):
        more = json.loads(real(KEYS))["keys"] + [{"kty": "RSA", "kid": "old", "x5c": ["A" * size]}]
        issuer.document = lambda path: real(path) if path == ABOUT else json.dumps({"keys": more}).encode()

    with_certificates(LARGEST - 2_000)
    assert (await tokens(issuer.token())).client == "shop"
    with_certificates(LARGEST)
    assert (await told(Tokens(Issuer(issuer.url), AUDIENCE), issuer.token()))[0] == 503


async def test_keys_are_fetched_once_and_for_all_who_wait(issuer, tokens):
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(tokens, issuer.token())
    assert issuer.asked == {ABOUT: 1, KEYS: 1}


async def test_a_key_that_is_new_is_fetched_and_one_that_is_gone_ends_with_the_hour(issuer, tokens, clock):
    old = issuer.token()
    await tokens(old)
    issuer.keys = {"two": make_key("ES256", "two")}
    clock.now += AGAIN_SECONDS
    assert (await tokens(issuer.token("two"))).client == "shop"
    assert (await told(tokens, old))[0] == 401
    clock.now += FRESH_SECONDS + 1
    await tokens(issuer.token("two"))
    assert issuer.asked[KEYS] == 3


async def test_garbage_does_not_make_us_ask_the_issuer_again_and_again(issuer, tokens, clock):
    await tokens(issuer.token())
    for number in range(200):
        stranger = issuer.token(f"key-{number}", key=make_key("EdDSA", "x"), alg="Ed25519")
        assert (await told(tokens, stranger))[0] == 401
    assert issuer.asked[KEYS] == 1
    clock.now += AGAIN_SECONDS
    for _ in range(5):
        await told(tokens, stranger)
    assert issuer.asked[KEYS] == 2


async def test_while_the_issuer_is_away_its_keys_are_used_for_a_day(issuer, tokens, clock):
    await tokens(issuer.token())
    issuer.status = 500
    clock.now += FRESH_SECONDS + 1
    assert (await tokens(issuer.token())).client == "shop"
    assert issuer.asked[ABOUT] == 2
    await tokens(issuer.token())
    assert issuer.asked[ABOUT] == 2
    clock.now += STALE_SECONDS
    assert (await told(tokens, issuer.token()))[0] == 503
    issuer.status = 200
    clock.now += AWAY_SECONDS
    assert (await tokens(issuer.token())).client == "shop"


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://evil.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"padding": "x" * 600_000},
    ],
)
async def test_a_document_that_is_not_the_issuers_is_not_used(issuer, tokens, about, caplog):
    issuer.about |= about
    with caplog.at_level(logging.WARNING):
        assert (await told(tokens, issuer.token(iss=issuer.url)))[0] == 503
    assert issuer.asked[KEYS] == 0
    assert tokens.issuer.trouble in caplog.text


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "168.63.129.16", "[fe80::1]", "[::ffff:169.254.169.254]"]
)
async def test_keys_are_never_fetched_from_where_no_issuer_is(issuer, tokens, host):
    issuer.about["jwks_uri"] = f"https://{host}/keys"
    assert (await told(tokens, issuer.token()))[0] == 503
    assert tokens.issuer.trouble == FORBIDDEN


async def test_an_issuer_behind_a_proxy_cannot_have_keys_fetched_from_a_private_network(
    issuer, tmp_path, monkeypatch
):
    pair = self_signed(tmp_path, host="issuer.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(pair.certificate))
    issuer.about = {"issuer": "https://issuer.example", "jwks_uri": f"{issuer.url}{KEYS}"}
    async with proxying(issuer, pair) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        tokens = Tokens(Issuer("https://issuer.example"), AUDIENCE)
        assert (await told(tokens, issuer.token()))[0] == 503
        assert (tokens.issuer.trouble, proxy.asked) == (PRIVATE, ["CONNECT issuer.example:443 HTTP/1.1"])
        issuer.about["jwks_uri"] = f"https://issuer.example{KEYS}"
        assert (await Tokens(Issuer("https://issuer.example"), AUDIENCE)(issuer.token())).client == "shop"


async def test_a_slash_at_the_end_is_the_issuers_own_affair(issuer, tokens):
    issuer.about["issuer"] = issuer.url + "/"
    assert (await tokens(issuer.token())).client == "shop"
    assert (await told(tokens, issuer.token(iss=issuer.url)))[0] == 401


@pytest.fixture
def trusting(site_with, issuer):
    """A gateway that takes the issuer's tokens."""
    return site_with(tokens=Tokens(Issuer(issuer.url), AUDIENCE))


async def test_over_http_a_token_is_as_good_as_a_key(trusting, ledger, issuer, caplog):
    caplog.set_level(logging.DEBUG)
    async with trusting as site:
        text, wrong = issuer.token(), issuer.token(exp=1)
        answer = await site.bare(text).post("/v1/notifications", json={"type": "alert", **alert()})
        assert (answer.status_code, [row.client for row in await rows(ledger)]) == (202, ["shop"])
        refused = await site.bare(wrong).get("/v1/types")
        assert (refused.status_code, refused.json()["detail"]) == (401, "the token has expired")
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        forbidden = await site.bare(issuer.token(scope="read")).put("/v1/recipients/ada", json={"name": "A"})
        assert (forbidden.status_code, forbidden.json()["code"]) == (403, "forbidden")
        assert (await (await site.client("shop", "read")).get("/v1/types")).status_code == 200
    logged = [one.getMessage() for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))]
    assert not [line for line in logged if text in line or wrong in line]


async def test_each_client_with_tokens_may_make_so_many_requests(site_with, issuer):
    async with site_with(tokens=Tokens(Issuer(issuer.url), AUDIENCE, rate=2)) as site:
        shop, other = (site.bare(issuer.token(client_id=one)) for one in ("shop", "other"))
        said = [(await shop.get("/v1/types")).status_code for _ in range(3)]
        assert said == [200, 200, 429]
        assert (await other.get("/v1/types")).status_code == 200


async def test_doctor_tells_whether_the_issuer_answers_and_is_quiet_where_there_is_none(issuer):
    settings = Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
    [well] = await examine_gateway(settings)
    assert (well.what, well.ok, well.found) == ("tokens", True, f"tokens of {issuer.url} are accepted")
    issuer.status = 404
    [ill] = await examine_gateway(settings)
    assert (ill.ok, ill.found) == (False, f"{issuer.url}{ABOUT} returned HTTP 404")
    assert "WAYPOST_OIDC_ISSUER" in ill.advice
    assert await examine_gateway(Settings()) == []


async def test_over_http_an_issuer_that_was_never_there_is_waited_for(trusting, issuer):
    issuer.status = 503
    async with trusting as site:
        answer = await site.bare(issuer.token()).get("/v1/types")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert 1 <= int(answer.headers["retry-after"]) <= AWAY_SECONDS
        assert (await (await site.client("shop", "read")).get("/v1/types")).status_code == 200
