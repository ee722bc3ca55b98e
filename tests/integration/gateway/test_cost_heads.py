"""Every path, query, header and token of every route, doubled: the cost of a request grows as its size does,
and no request keeps the event loop for longer than 50 ms.

The routes and their parameters are those of the OpenAPI document, so that what is added to it is tried too.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.costly_texts import IN_A_HEAD, IN_A_PATH, filled
from support.measured_gateway import Cases, Measured, operations
from support.oidc_issuer import LittleIssuer
from support.stopwatch import in_shares, judge

from waypost.gateway.auth.access_tokens import LONGEST as LONGEST_TOKEN
from waypost.gateway.server.connection import LONGEST

HEAD = LONGEST - 1024
ID = "019b76da-a800-7000-8000-000000000000"

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def places(path: str, operation: dict[str, Any]) -> Iterator[str]:
    """Where a path and its query hold what a caller chose."""
    if "{" in path:
        yield re.sub(r"{\w+}", "{}", path)
    plain = path.format(id=ID, code="invalid", address="ada@a.example")
    yield f"{plain}/{{}}"
    yield f"{plain}?{{}}"
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query":
            yield f"{plain}?{parameter['name']}={{}}"


def of_paths(gateway: Measured) -> Cases:
    for method, path, operation in operations(gateway.document):
        for place in places(path, operation) if path != "/readyz" else ():
            for shape in IN_A_PATH:

                def act(size, method=method, place=place, shape=shape):
                    return gateway.spent(gateway.client.request(method, place.format(filled(shape, size))))

                yield f"{method} {place} of {shape!r}", act, HEAD


@in_shares
def test_every_path_and_query_of_every_route(gateway, every):
    judge(of_paths(gateway), every)


HEADERS = (
    "Authorization", "Idempotency-Key", "Content-Type", "Content-Encoding", "Content-Length", "Host",
    "Expect", "Accept", "Cookie", "Connection", "Transfer-Encoding", "Upgrade", "X-Other",
)  # fmt: skip
KEYS = ("wp_{}", "a.{}", "{}.a.a", "a.{}.a", "a.a.{}")
ROUTES = [("GET", "/healthz"), ("GET", "/v1/notifications"), ("POST", "/v1/notifications")]


def of_headers(gateway: Measured) -> Cases:
    for method, path in ROUTES:

        def asked(*lines, key=None, method=method, path=path):
            return gateway.spent(gateway.client.request(method, path, b"", *lines, key=key))

        for name in HEADERS:
            for shape in IN_A_HEAD:
                line = f"{name}: {{}}"
                yield (
                    f"{method} {path}, {name} of {shape!r}",
                    lambda size, asked=asked, line=line, shape=shape: asked(line.format(filled(shape, size))),
                    HEAD,
                )
            yield (
                f"{method} {path}, many {name}",
                lambda size, asked=asked, name=name: asked(*[f"{name}: a"] * (size // (len(name) + 5))),
                HEAD,
            )
        for key in KEYS:
            yield (
                f"{method} {path}, a key {key}",
                lambda n, asked=asked, key=key: asked(key=key.format("a" * n)),
                HEAD,
            )
        yield (
            f"{method} {path}, headers",
            lambda n, asked=asked: asked(*(f"X-{i}: a" for i in range(n))),
            HEAD // 10,
        )


@in_shares
def test_every_header_and_their_number(gateway, every):
    judge(of_headers(gateway), every)


def in_base64(value: str) -> str:
    return urlsafe_b64encode(value.encode()).decode().rstrip("=")


def unsigned(header: str) -> str:
    return in_base64(header) + ".e30.e30"


GOOD = in_base64('{"alg":"ES256","kid":"one"}')
# Of so many bytes, before base64.
TOKENS: dict[str, Callable[[LittleIssuer, int], str]] = {
    "a header of names": lambda _, n: unsigned("{" + ",".join(f'"{one}":1' for one in range(n // 9)) + "}"),
    "a header of brackets": lambda _, n: unsigned('{"alg":' + "[" * n),
    "a header of digits": lambda _, n: unsigned('{"alg":' + "1" * n + "}"),
    "a long key id": lambda _, n: unsigned('{"alg":"ES256","kid":"' + "a" * n + '"}'),
    "a long payload": lambda _, n: f"{GOOD}.{in_base64('a' * n)}.e30",
    "a long signature": lambda _, n: f"{GOOD}.e30.{in_base64('a' * n)}",
    "a scope of many words": lambda issuer, n: issuer.token(scope="send " * (n // 5)),
    "a list of scopes": lambda issuer, n: issuer.token(scope=None, scp=["send"] * (n // 8)),
    "many audiences": lambda issuer, n: issuer.token(aud=["a"] * (n // 5)),
    "a long client": lambda issuer, n: issuer.token(client_id="a" * n),
    "an expiry of digits": lambda issuer, n: issuer.token(exp=int("9" * min(n, 4000))),
}


def test_every_part_of_a_token(gateway):
    def of(token):
        return lambda size: gateway.spent(
            gateway.client.request("GET", "/v1/types", key=TOKENS[token](gateway.issuer, size))
        )

    judge((f"a token with {token}", of(token), LONGEST_TOKEN * 3 // 4 - 512) for token in TOKENS)


TOGETHER = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/notifications HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na",
)


def of_requests_together(gateway: Measured) -> Cases:
    for request in TOGETHER:
        yield (
            f"{request!r} together",
            lambda n, r=request: gateway.loop.spent(lambda: gateway.client.flood(r * n)),
            256 * 1024 // len(request),
        )


def test_requests_that_come_together(gateway):
    judge(of_requests_together(gateway))
