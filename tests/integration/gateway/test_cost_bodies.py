"""Every field of every body, doubled: the cost of a request grows as its size does, and no request keeps the
event loop for longer than 50 ms.

The fields are those of the OpenAPI document, so that what is added to it is tried too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from support.costly_texts import IN_JSON, filled
from support.measured_gateway import Cases, Measured, operations
from support.requests import alert, order
from support.stopwatch import in_shares, judge

from waypost.gateway.http import body

JSON = "Content-Type: application/json"
HERE = "\ue000"  # stands in a body where its input goes
SIGNUP = {"product": "A", "verify_url": "https://a.example/v"}
MIME = "From: a@waypost.example\r\nSubject: A\r\n\r\nA\r\n"
BODIES: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("post", "/v1/notifications"): [
        {"type": "order-confirmation", **order("A-1")},
        {"type": "alert", **alert()},
        {"type": "signup-verification", "recipient": {"email": "ada@a.example"}, "data": SIGNUP},
        {"type": "message", "recipient": {"email": "ada@a.example"}, "data": {"mime": MIME}},
    ],
    ("post", "/v1/notifications/batch"): [{"notifications": [{"type": "alert", **alert()}]}],
    ("put", "/v1/recipients/{id}"): [{"email": "ada@a.example"}],
    ("patch", "/v1/recipients/{id}"): [{"email": "ada@a.example"}],
    ("patch", "/v1/recipients/{id}/preferences"): [{"alert": {"cadence": "never", "channels": ["email"]}}],
    ("patch", "/v1/preferences"): [{"alert": {"cadence": "never", "channels": ["email"]}}],
    ("put", "/v1/suppressions/{address}"): [{"category": "alert", "reason": "asked by phone"}],
    ("post", "/v1/verifications/check"): [{"recipient": "ada@a.example", "code": "1"}, {"token": "a.b.c"}],
    ("post", "/v1/webhooks"): [{"url": "https://a.example/", "states": ["sent"]}],
}

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def leaves(document: Any, schema: Any, base: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each field of a body, however deep; 0 stands for any item of a list. base: a body, which
    says the type where there is a choice."""
    schemas = document["components"]["schemas"]
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if named := schema.get("discriminator", {}).get("mapping", {}).get(base.get("type")):
        schema = schemas[named.rpartition("/")[2]]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from leaves(document, choice, base, at)
    for name, field in schema.get("properties", {}).items():
        yield (*at, name)
        yield from leaves(document, field, base, (*at, name))
    for field in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(field, dict):
            yield from leaves(document, field, base, (*at, 0))


def with_hole(base: Any, path: tuple[Any, ...]) -> str:
    """`base` as JSON with HERE in the place of the field at `path`, which is made where it is missing."""
    made = json.loads(json.dumps(base))
    at = made
    for step, following in pairwise(path):
        if isinstance(at, list):
            at = at[0] if at else at
        elif not isinstance(at.get(step), (dict, list)) or not at[step]:
            at[step] = [{}] if following == 0 else {}
            at = at[step]
        else:
            at = at[step]
    if isinstance(at, list):
        at[:] = [HERE]
    else:
        at[path[-1]] = HERE
    return json.dumps(made, ensure_ascii=False)


def bodies(gateway: Measured) -> Iterator[tuple[str, str, dict[str, Any], set[tuple[Any, ...]]]]:
    """Each body with the paths of the fields that its schema names; of a batch, whose items are those of the
    single route, the outermost alone."""
    for method, path, operation in operations(gateway.document):
        if "requestBody" in operation:
            [content] = operation["requestBody"]["content"].values()
            for base in BODIES[method, path]:
                found = set(leaves(gateway.document, content["schema"], base))
                yield method, path, base, {one for one in found if one[:2] != ("notifications", 0)}


VALUES = {
    **{f"text of {shape!r}": ('"', shape, '"') for shape in IN_JSON},
    "digits": ("1", "1", ""),
    "a fraction": ("0.", "1", ""),
    "an exponent": ("1e", "1", ""),
    "a text of digits": ('"0.', "1", '"'),
    "a list of numbers": ("[", "1,", "1]"),
    "a list of texts": ("[", '"a",', '"a"]'),
    "a list of lists": ("[", "[],", "[]]"),
    "a list of objects": ("[", "{},", "{}]"),
    "an object of one name": ("{", '"a":1,', '"a":1}'),
    "brackets": ("", "[", ""),
    "braces": ("", '{"a":', ""),
    "an open text": ('"', '\\"', ""),
    "blanks": ("", " ", "1"),
}


def of_fields(gateway: Measured) -> Cases:
    for method, path, base, found in bodies(gateway):
        for field in sorted(found, key=str):
            front, _, back = with_hole(base, field).partition(f'"{HERE}"')
            room = body.ONE - len((front + back).encode()) - 16
            for name, (opens, shape, ends) in VALUES.items():

                def act(size, value=(opens, shape, ends), around=(front, back), target=(method, path)):
                    text = around[0] + value[0] + filled(value[1], size) + value[2] + around[1]
                    asked = gateway.client.request(
                        target[0], target[1].format(id="ada", address="ada@a.example"), text.encode()
                    )
                    return gateway.spent(asked)

                yield f"{method} {path} {field}, {name}", act, room * len(shape) // len(shape.encode())


@in_shares
def test_every_field_of_every_body(gateway, every):
    judge(of_fields(gateway), every)


def sold(number: int) -> dict[str, Any]:
    return {"product": f"{number}" + "é" * 40, "quantity": 999, "unit_price": "1234567.89"}


def placed(count: int) -> str:
    asked = {"type": "order-confirmation", **order("A-1")}
    asked["data"]["lines"] = [sold(number) for number in range(count)]
    return json.dumps(asked, ensure_ascii=False)


def labelled(count: int) -> str:
    return json.dumps({"type": "alert", **alert(data={"labels": {f"l{n}": "é" * 500 for n in range(count)}})})


def mail(rest: str) -> str:
    """A finished mail that goes on with `rest` after its sender."""
    mime = "From: a@waypost.example\r\n" + rest
    return json.dumps({"type": "message", "recipient": {"email": "ada@a.example"}, "data": {"mime": mime}})


def batched(items: list[str]) -> str:
    return f'{{"notifications":[{",".join(items)}]}}'


ALERT, ENCODED = json.dumps({"type": "alert", **alert()}), "\r\n =?utf-8?q?=41?="
# What is taken: the path, the body of so many things, and how many there may be.
ONE, BATCH = "/v1/notifications", "/v1/notifications/batch"
WRONG = '{"type":"alert","data":{"labels":{' + '"a":1,' * 9_990 + '"a":1}}}'
TAKEN: dict[str, tuple[str, Callable[[int], str], int]] = {
    "lines of an order": (ONE, placed, 1000),
    "labels of an alert": (ONE, labelled, 50),
    "a mail of long lines": (ONE, lambda n: mail("\r\n" + ("a" * 990 + "\r\n") * n), 250),
    "a mail of short lines": (ONE, lambda n: mail("\r\n" * n), 60_000),
    "a mail of bytes": (ONE, lambda n: mail("\r\n" + "\xff" * n), 900),
    "fields of a mail": (ONE, lambda n: mail("X-A: a\r\n" * n + "\r\n"), 900),
    "folds of a field": (ONE, lambda n: mail("X-A: a" + "\r\n a" * n + "\r\n\r\n"), 30_000),
    "a subject of encoded words": (ONE, lambda n: mail("Subject:" + ENCODED * n + "\r\n\r\n"), 6_500),
    "items of a batch": (BATCH, lambda n: batched([ALERT] * n), 1000),
    "items that are orders": (BATCH, lambda n: batched([placed(20)] * n), 1000),
    "items that are wrong": (BATCH, lambda n: batched(['{"type":"alert"}'] * n), 1000),
    "items that are large": (BATCH, lambda n: batched([placed(1000)] * n), 24),
    "items that are large and wrong": (BATCH, lambda n: batched([WRONG] * n), 12),
    "texts that are no items": (BATCH, lambda n: batched(['"' + '\\"' * n + '"']), 130_000),
    "brackets of a batch": (BATCH, lambda n: '{"notifications":[' + "[" * n, body.MANY - 20),
}


def test_what_is_taken_at_its_limit(gateway):
    def of(path, made):
        return lambda size: gateway.post(path, made(size))

    judge((name, of(path, made), limit) for name, (path, made, limit) in TAKEN.items())


def of_the_wire(gateway: Measured) -> Cases:
    def piecemeal(size: int, piece: bytes, trailers: bytes = b"") -> bytes:
        head = gateway.client.request("POST", "/v1/notifications", b"", "Transfer-Encoding: chunked", JSON)
        return head + piece * size + b"0\r\n" + trailers + b"\r\n"

    get = gateway.client.request("GET", "/healthz")
    post = gateway.client.request("POST", "/v1/notifications", ALERT.encode())
    yield "pieces of a byte", lambda n: gateway.spent(piecemeal(n, b"1\r\n \r\n")), 200_000
    yield "trailers", lambda n: gateway.spent(piecemeal(1, b"1\r\n \r\n", b"A: a\r\n" * n)), 10_000
    yield "requests at once", lambda n: gateway.spent(get * n, n), 1000
    yield "posts at once", lambda n: gateway.spent(post * n, n), 100
    yield "empty lines", lambda n: gateway.spent(b"\r\n" * n + get), 30_000
    yield (
        "entries of a list",
        lambda n: gateway.spent(gateway.client.request("GET", f"/v1/notifications?limit={n}")),
        200,
    )


def test_pieces_and_requests_at_once(gateway):
    gateway.post(
        "/v1/notifications/batch", batched([json.dumps({"type": "order-confirmation", **order("A")})] * 300)
    )
    judge(of_the_wire(gateway))
