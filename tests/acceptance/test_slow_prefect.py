"""A Prefect server that is slow, hangs or is gone: urgent notifications do not wait for it, and the others
are sent while it is only slow."""

from __future__ import annotations

import json
import time

import pytest
from chaos.installation import installation
from chaos.line import Weather, line
from chaos.servers import mail_sink, prefect_server
from support.processes import eventually
from support.requests import alert, order

pytestmark = pytest.mark.long
URGENT, ORDERS = 6, 60  # of each case, so that both providers take some urgent notifications
URGENT_WITHIN = 10.0  # seconds, as docs/reliability.md promises


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    """An installation whose worker reaches Prefect over a line, and that line. Half of its mails go through a
    provider with a rate limit."""
    folder = tmp_path_factory.mktemp("slow")
    with prefect_server(folder) as server, mail_sink(folder) as sink, line(server.port) as laid:
        providers = {
            "rated": {"url": sink.url(), "rate": 50, "weight": 1},
            "free": {"url": sink.url(), "weight": 1},
        }
        settings = {
            "WAYPOST_PROVIDERS": json.dumps(providers),
            "WAYPOST_SMTP_URL": "",
            "PREFECT_API_URL": f"http://127.0.0.1:{laid.port}/api",
        }
        with installation(folder / "home", server, sink, settings=settings) as site:
            site.worker().ready()
            yield site, laid


def sent_at(site, start):
    return [at for at, to, _ in site.sink.notes() if to.startswith(start)]


@pytest.mark.parametrize(
    ("weather", "delay", "rest"),
    [
        (Weather.FAIR, 1, True),
        (Weather.FAIR, 2, True),
        (Weather.FAIR, 3, True),
        (Weather.FAIR, 5, False),
        (Weather.SILENT, 0, False),
        (Weather.GONE, 0, False),
    ],
)
def test_what_is_urgent_goes_within_ten_seconds_and_the_rest_while_prefect_answers(way, weather, delay, rest):
    site, laid = way
    name = f"{weather.name.lower()}{delay}-"
    laid.delay = delay
    laid.be(weather)
    site.accept("order-confirmation", [order(f"{name}{number}") for number in range(ORDERS)])
    began_at = time.time()
    site.accept("alert", [alert(to=f"{name}{number}") for number in range(URGENT)])
    eventually(lambda: len(sent_at(site, name)) == URGENT, 30)
    assert max(sent_at(site, name)) - began_at < URGENT_WITHIN
    if rest:
        eventually(lambda: len(sent_at(site, f"r{name}")) == ORDERS, 60)
