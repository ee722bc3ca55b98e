"""A worker stops within ten seconds, whatever server is away; its claimed notifications are free at once."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from chaos.installation import installation
from chaos.line import Weather, line
from chaos.servers import mail_sink
from support.processes import eventually
from support.requests import alert, order

pytestmark = pytest.mark.long
HANGS = 120.0  # seconds until the mail server answers
DOCKER_KILLS_AFTER = 10.0


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("prefect_is", "mail_takes", "ledger_is"),
    [
        pytest.param(Weather.GONE, 0.2, None, id="prefect-gone"),
        pytest.param(Weather.SILENT, 0.2, None, id="prefect-silent"),
        pytest.param(Weather.FAIR, HANGS, None, id="mail-hangs"),
        pytest.param(Weather.GONE, HANGS, None, id="prefect-gone-and-mail-hangs"),
        pytest.param(Weather.SILENT, HANGS, None, id="prefect-silent-and-mail-hangs"),
        pytest.param(Weather.FAIR, 0.2, Weather.GONE, id="ledger-gone"),
        pytest.param(Weather.FAIR, 0.2, Weather.SILENT, id="ledger-silent"),
    ],
)
def test_a_worker_that_sends_stops_within_ten_seconds(
    prefect, cluster, tmp_path, capsys, prefect_is, mail_takes, ledger_is
):
    """The worker has runs in progress, and direct deliveries if Prefect is away."""
    database = urlsplit(cluster.database())
    with ExitStack() as stack:
        to_prefect = stack.enter_context(line(prefect.port))
        to_ledger = stack.enter_context(line(database.port))
        sink = stack.enter_context(mail_sink(tmp_path, mail_takes))
        near = database._replace(netloc=f"{database.username}@127.0.0.1:{to_ledger.port}").geturl()
        settings = {"PREFECT_API_URL": f"http://127.0.0.1:{to_prefect.port}/api"}
        site = stack.enter_context(
            installation(tmp_path / "home", prefect, sink, near, connections=4, settings=settings)
        )
        worker = site.worker().ready()
        if mail_takes < HANGS or prefect_is is Weather.FAIR:
            site.accept("order-confirmation", [order(f"stop-{n}") for n in range(200)])
            eventually(lambda: sink.to("rstop-") > 0, 60)
        to_prefect.be(prefect_is)
        if prefect_is is not Weather.FAIR:
            site.accept("alert", [alert(to=f"direct-{n}") for n in range(200)])
            eventually(lambda: sink.to("direct-") > 0, 60)
        if ledger_is is not None:
            to_ledger.be(ledger_is)
            time.sleep(1)
        began = time.monotonic()
        worker.process.terminate()
        worker.process.wait(60)
        took = time.monotonic() - began
        with capsys.disabled():
            print(f"\nstopped within {took:.1f} s")
        told = worker.log.read_text()
        assert worker.process.returncode == 0, told[-3000:]
        assert took < DOCKER_KILLS_AFTER, told[-3000:]
        to_ledger.be(Weather.FAIR)
        if ledger_is is None:
            in_hand = site.states()
            assert set(in_hand) <= {"sent", "accepted", "deferred"}, Counter(in_hand)
            assert in_hand["accepted"] > 100, "free at once"
