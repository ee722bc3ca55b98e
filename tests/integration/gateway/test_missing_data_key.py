"""A gateway without the key of some personal data: no read fails without saying which key is missing."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from support.delivery import delivered
from support.requests import order
from support.rings import TESTS

from waypost import Request
from waypost.config.settings import with_async_driver
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import open_ledger
from waypost.ledger.database.unreachable import OtherDataKey
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.operations.preference_change import Choosing, choose
from waypost.ledger.records import recipients as people
from waypost.ledger.records import suppressions
from waypost.model.cadence import Cadence
from waypost.model.category import Category
from waypost.model.permission import Preference
from waypost.model.profile import Profile
from waypost.model.suppression import Suppression
from waypost.system.key_ring import DataKey, KeyRing

pytestmark = pytest.mark.anyio

NEWER = KeyRing([DataKey("newer", b"n" * 32), TESTS])
SAID = "with the key newer, which this process does not have: add that key to WAYPOST_DATA_KEYS"
ADA = Profile(id="ada", email="ada@a.example", phone="+4930123456", name="Ada")


@pytest.fixture
async def newer(ledger, database):
    """The same ledger as a process has it that got a newer key first."""
    await ledger.write(ledger.sealing.prepare)
    await ledger.stored_key("mailto:ada@a.example")
    opened = open_ledger(with_async_driver(database), ring=lambda: NEWER)
    yield opened
    await opened.close()


async def lived(newer):
    """Something for each route to show, of client shop. Returns the id of a notification that was sent."""
    facts = TYPE.facts.model_validate(order("A-1")["data"])
    request = Request[TYPE.facts](recipient=ADA, data=facts)
    [receipt] = await accept_all(newer, [Candidate(TYPE, request, client="shop")])
    await delivered(newer, "order-confirmation")
    await people.put(newer, ADA, "shop")
    await suppressions.add(newer, [Suppression(address=ADA.email, client="shop", evidence="a letter")])
    await choose(newer, Choosing("shop", "ada", {Category.MARKETING: Preference(Cadence())}, "api"), {})
    return str(receipt.id)


async def test_no_route_that_reads_fails_and_what_needs_the_key_names_it(site, newer):
    id = await lived(newer)
    shop = await site.client("shop")
    made = (await shop.post("/v1/webhooks", json={"url": "https://shop.example/w"})).json()
    paths = (await shop.get("/v1/openapi.json")).json()["paths"]
    ids = {"/v1/notifications/{id}": id, "/v1/webhooks/{id}": made["id"]}
    reads = {path for path, known in paths.items() if "get" in known and path.startswith("/v1/")}
    found = {}
    for path in reads:
        asked = path.replace("{code}", "unavailable").replace("{address}", ADA.email)
        found[path] = await shop.get(asked.replace("{id}", ids.get(path, "ada")))
    assert {path for path, answer in found.items() if answer.status_code == 503} == {
        "/v1/recipients/{id}",
        "/v1/recipients/{id}/export",
        "/v1/suppressions",
    }
    assert {answer.status_code for answer in found.values()} <= {200, 503}
    for answer in found.values():
        if answer.status_code == 503:
            assert (answer.json()["code"], answer.headers["retry-after"]) == ("unavailable", "60")
            assert SAID in answer.json()["detail"]
    told = found["/v1/notifications/{id}"].json()
    assert told["state"] == "sent"
    assert (
        "(the reply cannot be read: personal data is sealed with the key newer" in told["attempts"][0]["said"]
    )
    assert len(reads) >= 9


async def test_with_the_key_again_everything_is_read(site, newer):
    await lived(newer)
    shop = await site.client("shop")
    assert (await shop.get("/v1/recipients/ada")).status_code == 503
    site.ledger.sealing.ring = NEWER
    assert (await shop.get("/v1/recipients/ada")).json()["email"] == ADA.email
    assert [one["address"] for one in (await shop.get("/v1/suppressions")).json()["suppressions"]] == [
        ADA.email
    ]


async def test_an_export_stops_at_a_suppression_whose_key_is_missing(ledger, newer):
    await suppressions.add(ledger, [Suppression(address="bob@a.example")])
    await suppressions.add(newer, [Suppression(address=ADA.email)])
    with pytest.raises(OtherDataKey, match="the key newer"):
        async with aclosing(suppressions.each(ledger)) as found:
            assert [one async for one in found]
