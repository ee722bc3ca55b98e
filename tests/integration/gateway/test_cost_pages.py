"""Every path, query, header and form of the recipients' pages, doubled: the cost of a request grows as its
size does, and no request keeps the event loop for longer than 50 ms. Anybody who was sent a mail may send
them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from support.costly_texts import IN_A_HEAD, IN_A_PATH, filled
from support.measured_gateway import Client
from support.stopwatch import Loop, in_shares, judge

from waypost import Category
from waypost.config.brands import brands
from waypost.config.settings import Settings, with_async_driver
from waypost.deployments.processes.gateway import pages_served
from waypost.deployments.registry import registered
from waypost.gateway.listen import ListenAddress
from waypost.gateway.pages.connection import PublicConnection
from waypost.gateway.pages.context import PagesContext
from waypost.gateway.pages.form import MOST_BYTES
from waypost.ledger import open_ledger
from waypost.ledger.records import recipients
from waypost.model.profile import Profile
from waypost.recipients.choices import Catalogue
from waypost.recipients.links import Link, Links

pytestmark = [pytest.mark.long, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
HEAD = PublicConnection.longest - 1024
LINKS = Links(b"a key of sixteen or more")
HEADERS = (
    "Content-Type", "Content-Encoding", "Content-Length", "Accept-Language", "Host", "Cookie", "Expect",
    "Transfer-Encoding", "X-Other",
)  # fmt: skip
KINDS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
PARTS = (
    "--x\r\n",
    "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n",
    "Content-Type: message/rfc822\r\n",
)


class Pages:
    """Pages in a loop of their own, whose work is measured. links: the paths of two links that work."""

    def __init__(self, loop: Loop, url: str, generation: int) -> None:
        self.loop, self.client = loop, Client(url, "none")
        ada = Link("", "ada", None, generation, "ada@a.example")
        off = Link("", "ada", Category.ALERT, generation, "ada@a.example")
        self.links = [f"/{link.page}/{LINKS.token(link)}" for link in (ada, off)]

    def spent(self, method, path, body="", *headers):
        request = self.client.request(method, path, b"", *headers, f"Content-Length: {len(body.encode())}")
        return self.loop.spent(lambda: self.client.ask(request + body.encode()))


@pytest.fixture
def pages(database) -> Iterator[Pages]:
    with Loop() as loop:
        ledger = loop.run(opened(database))
        loop.run(recipients.put(ledger, Profile(id="ada", email="ada@a.example")))
        known = loop.run(recipients.linked(ledger, "ada"))
        types = [one.type for one in registered().values()]
        context = PagesContext(ledger, Catalogue(types, {}), LINKS, brands(Settings()))
        served = loop.enter(pages_served(context, ListenAddress(port=0), asyncio.Event()))
        yield Pages(loop, served.url, known.generation)
        loop.run(ledger.close())


async def opened(database):
    return open_ledger(with_async_driver(database))


def of_heads(pages: Pages):
    for place in ("/{}", "/u/{}", "/p/{}", "/style.css?{}", "/style.css?accent={}", f"{pages.links[0]}?{{}}"):
        for shape in IN_A_PATH:
            yield (
                f"GET {place[:20]} of {shape!r}",
                lambda n, p=place, s=shape: pages.spent("GET", p.format(filled(s, n))),
                HEAD,
            )
    for method, path in [
        ("GET", "/u/x"),
        *((method, link) for method in ("GET", "POST") for link in pages.links),
    ]:
        for name in HEADERS:
            for shape in IN_A_HEAD:
                value = (
                    "multipart/form-data; boundary=x {}"
                    if (method, name) == ("POST", "Content-Type")
                    else "{}"
                )
                yield (
                    f"{method} {path[:5]}, {name} of {shape!r}",
                    lambda n, a=(method, path, ""), h=f"{name}: {value}", s=shape: pages.spent(
                        *a, h.format(filled(s, n))
                    ),
                    HEAD - 600,
                )


@in_shares
def test_every_path_query_and_header(pages, every):
    judge(of_heads(pages), every)


def test_every_form(pages):
    def cases():
        for path in pages.links:
            for kind in KINDS:
                for shape in (*IN_A_HEAD, *PARTS):
                    yield (
                        f"{path[:3]} {kind[:20]} of {shape!r}",
                        lambda n, a=("POST", path), h=f"Content-Type: {kind}", s=shape: pages.spent(
                            *a, filled(s, n), h
                        ),
                        MOST_BYTES,
                    )

    judge(cases())
