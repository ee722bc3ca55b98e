"""Recipients over HTTP: kept exactly, told in full, forgotten, and used by what is sent to their id."""

from __future__ import annotations

import pytest
from support.delivery import taken_up
from support.requests import order

pytestmark = pytest.mark.anyio

ADA = {"email": "ada@a.example", "name": "Ada", "locale": "de", "timezone": "Europe/Berlin"}


def at(id: str) -> str:
    return f"/v1/recipients/{id}"


async def test_what_is_put_is_all_that_is_known(shop):
    first = await shop.put(at("ada"), json=ADA)
    assert first.status_code == 201
    told = first.json()
    assert {name: told[name] for name in ADA} == ADA
    assert (told["id"], told["phone"]) == ("ada", None)
    second = await shop.put(at("ada"), json={"phone": "+49 30 1234"})
    assert (second.status_code, second.json()["email"], second.json()["phone"]) == (200, None, "+49301234")
    assert (await shop.get(at("ada"))).json() == second.json()


async def test_a_number_is_kept_in_e164_of_the_country_of_the_locale(shop):
    for body in ({"phone": "0049 (0)30-123456"}, {"phone": "030 123456", "locale": "de-DE"}):
        assert (await shop.put(at("ada"), json=body)).json()["phone"] == "+4930123456"
        assert (await shop.patch(at("ada"), json=body)).json()["phone"] == "+4930123456"


async def test_what_is_forgotten_is_unknown(shop):
    await shop.put(at("ada"), json=ADA)
    assert (await shop.delete(at("ada"))).status_code == 204
    for method in ("GET", "DELETE"):
        again = await shop.request(method, at("ada"))
        assert (again.status_code, again.json()["code"]) == (404, "not-found")
    assert (await shop.put(at("ada"), json=ADA)).status_code == 201


async def test_a_later_send_goes_to_what_is_known_of_the_id(site, shop):
    await shop.put(at("ada"), json=ADA)
    body = {"type": "order-confirmation", "recipient": {"id": "ada"}, "data": order("A-1")["data"]}
    assert (await shop.post("/v1/notifications", json=body)).status_code == 202
    _, [one] = await taken_up(site.ledger, "order-confirmation")
    assert (one.recipient.email, one.recipient.locale) == ("ada@a.example", "de")


@pytest.mark.parametrize(
    "id", ["a%2Fb", "a/b", "..%2Fetc", "%2E%2E", "a%20b", "%C3%A9t%C3%A9", "a@b", "x" * 200]
)
async def test_an_id_is_whatever_a_line_may_hold(shop, id):
    made = await shop.put(at(id), json=ADA)
    assert made.status_code == 201, made.text
    assert (await shop.get(at(id))).json() == made.json()
    assert (await shop.delete(at(id))).status_code == 204


@pytest.mark.parametrize("id", ["", "a%00b", "%FF%FE", "%ED%A0%80", "x" * 201])
async def test_an_id_that_nobody_can_have_is_told_so(shop, id):
    for method, json in (("PUT", ADA), ("GET", None), ("DELETE", None)):
        answer = await shop.request(method, at(id), json=json)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


@pytest.mark.parametrize("id", ["mailto:x@a.example", "TEL:1"])
async def test_nothing_is_kept_under_an_id_that_looks_like_an_address(shop, id):
    answer = await shop.put(at(id), json=ADA)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@a.example, b@a.example"}, "email"),
        ({"phone": "call me"}, "phone"),
        ({"phone": "030 123456"}, "phone"),
        ({"phone": "030 123456", "locale": "de"}, "phone"),
        ({"phone": "+999 123456789"}, "phone"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"locale": "xx-klingon"}, "locale"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"age": 3}, "age"),
        ({"email": 3}, "email"),
        ({}, None),
        ({"email": None, "name": None}, None),
        ({"id": "ada", "email": "ada@a.example"}, None),
        ([], None),
    ],
)
async def test_a_field_that_is_wrong_is_named_and_nothing_changes(shop, body, path):
    await shop.put(at("ada"), json=ADA)
    answer = await shop.put(at("ada"), json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [one["path"] for one in answer.json().get("errors", [])][:1] == ([path] if path else [])
    assert {name: (await shop.get(at("ada"))).json()[name] for name in ADA} == ADA


async def test_they_are_for_keys_that_may_manage(site):
    other = await site.client("shop", "send", "read", "manage:alert")
    for method in ("PUT", "GET", "DELETE"):
        answer = await other.request(method, at("ada"), json=ADA)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "TRACE"])
async def test_another_method_is_told_which_there_are(shop, method):
    answer = await shop.request(method, at("ada"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, PUT")


async def exported(client, id, **query):
    answer = await client.get(f"{at(id)}/export", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_everything_kept_of_a_recipient_is_exported_in_pages(shop):
    await shop.put(at("ada"), json=ADA)
    chosen = {"marketing": {"confirmed": True, "evidence": "box ticked"}}
    await shop.patch(f"{at('ada')}/preferences", json=chosen)
    await shop.put("/v1/suppressions/Ada@a.example", json={"category": "product", "reason": "asked"})
    for number in ("A-1", "A-2", "A-3"):
        body = {"type": "order-confirmation", "recipient": {"id": "ada"}, "data": order(number)["data"]}
        assert (await shop.post("/v1/notifications", json=body)).status_code == 202
    first = await exported(shop, "ada", limit=2)
    rest = await exported(shop, "ada", limit=2, after=first["next"])
    assert first["recipient"] == rest["recipient"] == (await shop.get(at("ada"))).json()
    assert first["preferences"]["marketing"]["evidence"] == "box ticked"
    assert first["suppressions"] == (await shop.get("/v1/suppressions")).json()["suppressions"]
    found = [one["data"]["order_id"] for one in first["notifications"] + rest["notifications"]]
    assert (found, rest["next"]) == (["A-3", "A-2", "A-1"], None)
    assert {one["category"] for one in rest["notifications"]} == {"transactional"}


async def test_another_client_exports_nothing_of_it(site, shop):
    await shop.put(at("ada"), json=ADA)
    blog = await site.client("blog")
    assert (await blog.get(f"{at('ada')}/export")).status_code == 404
    reader = await site.client("shop", "send", "read", "manage:alert")
    assert (await reader.get(f"{at('ada')}/export")).status_code == 403


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "after=x", "page=2", "limit=1&limit=2"])
async def test_a_page_that_cannot_be_is_told_so(shop, query):
    await shop.put(at("ada"), json=ADA)
    answer = await shop.get(f"{at('ada')}/export?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_an_id_that_ends_in_export_is_one_with_its_slash_escaped(shop):
    made = await shop.put(at("a%2Fexport"), json=ADA)
    assert (made.status_code, made.json()["id"]) == (201, "a/export")
    assert (await shop.get(at("a%2Fexport"))).json() == made.json()
    assert (await exported(shop, "a%2Fexport"))["recipient"] == made.json()
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        answer = await shop.request(method, f"{at('ada')}/export", json=ADA)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_attributes_are_merged_by_name_and_replaced_by_put(shop):
    made = await shop.put(at("ada"), json=ADA | {"attributes": {"plan": "gold", "city": "Bern"}})
    assert made.json()["attributes"] == {"plan": "gold", "city": "Bern"}
    changed = await shop.patch(at("ada"), json={"attributes": {"plan": {"name": "free"}, "city": None}})
    assert (changed.status_code, changed.json()["attributes"]) == (200, {"plan": {"name": "free"}})
    assert (await shop.patch(at("ada"), json={"name": "A"})).json()["attributes"] == {
        "plan": {"name": "free"}
    }
    assert (await shop.get(at("ada"))).json()["attributes"] == {"plan": {"name": "free"}}
    assert (await shop.patch(at("ada"), json={"attributes": None})).json()["attributes"] == {}
    assert (await shop.put(at("ada"), json={"attributes": {"a": 1}})).json()["email"] is None
    assert (await shop.put(at("ada"), json=ADA)).json()["attributes"] == {}


async def test_only_attributes_may_be_known_of_a_recipient(shop):
    made = await shop.patch(at("ada"), json={"attributes": {"plan": "gold"}})
    assert (made.status_code, made.json()["attributes"]) == (201, {"plan": "gold"})
    assert (await shop.get(at("ada"))).status_code == 200
    for body in ({"attributes": {}}, {"attributes": {"plan": None}}):
        assert (await shop.patch(at("eve"), json=body)).status_code == 404


@pytest.mark.parametrize(
    ("method", "attributes"),
    [
        ("PUT", {"first name": 1}),
        ("PUT", {"plan": [[[1]]]}),
        ("PUT", {"plan": None}),
        ("PATCH", [1]),
        ("PATCH", "gold"),
        ("PATCH", {"plan": "x" * 1001}),
        ("PATCH", {f"m{number}": 1 for number in range(49)}),
    ],
)
async def test_attributes_that_cannot_be_kept_change_nothing(shop, method, attributes):
    await shop.put(at("ada"), json=ADA | {"attributes": {"plan": "gold", "city": "Bern"}})
    answer = await shop.request(method, at("ada"), json={"attributes": attributes})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert [one["path"] for one in answer.json()["errors"]] == ["attributes"]
    assert (await shop.get(at("ada"))).json()["attributes"] == {"plan": "gold", "city": "Bern"}


HOME = {"address": "ada@home.example", "verified": True}


def addresses_of(answer):
    assert answer.status_code in (200, 201), answer.text
    return [(one["address"], one["kind"], one["main"], one["verified"]) for one in answer.json()["addresses"]]


async def test_further_addresses_are_told_with_the_main_ones_and_replaced(shop):
    made = await shop.put(at("ada"), json=ADA | {"addresses": [HOME, {"address": "0049 (0)30 123456"}]})
    assert addresses_of(made) == [
        ("ada@a.example", "email", True, False),
        ("ada@home.example", "email", False, True),
        ("+4930123456", "phone", False, False),
    ]
    assert (await shop.get(at("ada"))).json() == made.json()
    changed = await shop.patch(at("ada"), json={"addresses": [{"address": "ada@HOME.example"}]})
    assert addresses_of(changed)[1:] == [("ada@home.example", "email", False, True)]
    assert (changed.json()["name"], changed.json()["addresses"][0]["verified_at"]) == ("Ada", None)
    assert addresses_of(await shop.patch(at("ada"), json={"name": "A"})) == addresses_of(changed)
    assert (await exported(shop, "ada"))["recipient"]["addresses"] == changed.json()["addresses"]
    assert addresses_of(await shop.patch(at("ada"), json={"addresses": None})) == addresses_of(made)[:1]
    assert addresses_of(await shop.put(at("ada"), json={"email": "b@a.example"})) == [
        ("b@a.example", "email", True, False)
    ]


async def test_a_recipient_may_be_nothing_but_further_addresses(shop):
    assert (await shop.patch(at("ada"), json={"addresses": []})).status_code == 404
    assert (await shop.put(at("ada"), json={"addresses": []})).status_code == 422
    assert (await shop.patch(at("ada"), json={"addresses": [HOME]})).status_code == 201
    assert addresses_of(await shop.get(at("ada"))) == [("ada@home.example", "email", False, True)]


async def test_a_number_among_the_addresses_is_of_the_country_of_the_locale(shop):
    body = {"locale": "de-DE", "addresses": [{"address": "030 123456"}]}
    assert [one[0] for one in addresses_of(await shop.put(at("ada"), json=body))] == ["+4930123456"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("addresses", "path"),
    [
        ([{"address": "nobody-x"}], "addresses.0.address"),
        ([HOME, {"address": "nobody-x@"}], "addresses.1.address"),
        ([{"address": "030 123456"}], "addresses.0.address"),
        ([{"address": 3}], "addresses.0.address"),
        ([{}], "addresses.0.address"),
        ([{"address": "nobody-x@a.example", "verified": "yes"}], "addresses.0.verified"),
        ([{"address": "nobody-x@a.example", "main": True}], "addresses.0.main"),
        (["nobody-x@a.example"], "addresses.0"),
        ([{"address": f"nobody-x{number}@a.example"} for number in range(21)], "addresses"),
        ({"address": "nobody-x@a.example"}, "addresses"),
        ("nobody-x@a.example", "addresses"),
    ],
)
async def test_addresses_that_are_wrong_change_nothing_and_are_not_repeated(shop, method, addresses, path):
    await shop.put(at("ada"), json=ADA | {"addresses": [HOME]})
    answer = await shop.request(method, at("ada"), json={"name": "B", "addresses": addresses})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
    assert [one["path"] for one in answer.json()["errors"]] == [path]
    assert "nobody-x" not in answer.text
    assert "030" not in answer.text
    assert addresses_of(await shop.get(at("ada")))[1:] == [("ada@home.example", "email", False, True)]
