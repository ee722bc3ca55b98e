"""The Prefect UI, in a real browser: a person sees runs and their outcomes, and fills in forms."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
import pytest
from support.browser import browser
from support.processes import eventually
from support.requests import order


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def run(up):
    """A run with one mail that was sent, and one that every provider refused."""
    _, summary = up.send(
        "order-confirmation",
        order("U-1", email="visible@a.example"),
        order("U-2", email="refused@ui.example"),
    )
    return summary["flow_runs"][0]


def shows(page, url, *words):
    """Open a page, and wait until it shows each of the words."""
    page.open(url)
    for word in words:
        page.wait(f"document.body.innerText.includes({json.dumps(word)})")


def test_the_runs_page_shows_its_name_state_deployment_and_tasks(up, run, page):
    words = ("2 order-confirmation", "PartlyFailed", "waypost", "5", "Task run", "1 failed, 1 sent")
    shows(page, f"{up.here.ui}/runs/flow-run/{run}", *words)


def test_the_artifacts_page_lists_outcomes_with_addresses_masked(up, run, page):
    wanted = {"artifacts": {"flow_run_id": {"any_": [run]}}}
    [artifact] = eventually(lambda: httpx.post(f"{up.here.api}/artifacts/filter", json=wanted).json())
    words = ("sent", "failed", "v***e@a.example", "550 5.1.1")
    shows(page, f"{up.here.ui}/artifacts/artifact/{artifact['id']}", *words)
    assert "visible@a.example" not in page.text
    assert "refused@ui.example" not in page.text


FACTS = {
    "alert": {"severity": "info", "source": "db", "summary": "x", "started_at": "2026-01-02T03:04:05Z"},
    "message": {"mime": "From: no-reply@waypost.example\r\nTo: typed@a.example\r\nSubject: x\r\n\r\nx\r\n"},
    "order-confirmation": order("U-3")["data"],
    "signup-verification": {"product": "x", "verify_url": "https://a.example/"},
}
NO_REQUESTS = {"digest": {}, "waypost-retry": {}}
EMAIL = "document.querySelector('textarea')"  # the first field that is typed in
SUBMIT = "[...document.querySelectorAll('button')].find(b => b.innerText.trim() === 'Submit')"


def runs_of(up, deployment):
    wanted = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"tags": {"all_": ["waypost"]}}}
    found = httpx.post(f"{up.here.api}/flow_runs/filter", json=wanted, timeout=30).json()
    return {one["id"]: one for one in found if not one["auto_scheduled"]}


def fill(page, up, deployment, given):
    """Fill in the form of a custom run, and send it. The address is typed."""
    page.open(f"{up.here.ui}/deployments/deployment/{deployment}/run?parameters={quote(json.dumps(given))}")
    page.wait(f"!!{SUBMIT}")
    if "requests" in given:
        page.wait("document.body.innerText.includes('Prefect stores and shows what is typed here')")
        page.click(EMAIL)
        page.type("typed@a.example")
        shown = page.text
        assert "None" not in shown
        assert "batch" not in shown.lower()
    page.click(SUBMIT)


@pytest.mark.long
def test_the_form_of_every_type_can_be_filled_in_and_sent(up, page):
    asked = {name: {"requests": [{"recipient": {}, "data": facts}]} for name, facts in FACTS.items()}
    for name, given in (asked | NO_REQUESTS).items():
        one = httpx.get(f"{up.here.api}/deployments/name/{name}/{name}", timeout=30).json()
        before = runs_of(up, one["id"])
        fill(page, up, one["id"], given)
        made = eventually(lambda one=one, before=before: runs_of(up, one["id"]).keys() - before.keys())
        [run] = made
        ended = eventually(lambda run=run: up._ended(run))
        assert ended["state"]["type"] == "COMPLETED", (name, ended["state"])
        if name in FACTS:
            assert ended["parameters"]["requests"][0]["recipient"] == {"email": "typed@a.example"}
            assert ended["name"] == f"1 {name}"
    assert len(up.mails("typed@a.example")) == len(FACTS)
