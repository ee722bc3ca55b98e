"""The Prefect UI, in a real browser: a person sees the run, its tasks and the table of outcomes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import httpx
import pytest
from support.processes import eventually
from support.requests import order

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=20000", "--window-size=1400,1600",
]  # fmt: skip


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """Reads the text of a page after its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing: .ci/run installs it")
        pytest.skip("no chromium: install it to look at the Prefect UI")

    def read(url: str) -> str:
        profile = tmp_path_factory.mktemp("profile")
        shown = subprocess.run(
            [browser, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", url],
            capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        return re.sub(r"<[^>]*>", " ", shown.stdout)

    return read


@pytest.fixture(scope="module")
def run(up):
    """A run with one mail that was sent, and one that every provider refused."""
    _, summary = up.send(
        "order-confirmation", order("U-1", email="visible@a.example"), order("U-2", email="refused@a.example")
    )
    return summary["flow_runs"][0]


def test_the_runs_page_shows_its_state_deployment_and_log(up, run, browse):
    page = eventually(
        lambda: (text := browse(f"{up.here.ui}/runs/flow-run/{run}")) and "Completed" in text and text
    )
    for word in ("order-confirmation", "waypost", "5", "Task run", "1 failed, 1 sent"):
        assert word in page, word


def test_the_artifacts_page_lists_outcomes_with_addresses_masked(up, run, browse):
    wanted = {"artifacts": {"flow_run_id": {"any_": [run]}}}
    [artifact] = eventually(lambda: httpx.post(f"{up.here.api}/artifacts/filter", json=wanted).json())
    page = browse(f"{up.here.ui}/artifacts/artifact/{artifact['id']}")
    for word in ("sent", "failed", "v***e@a.example", "550 5.1.1"):
        assert word in page, word
    assert "visible@a.example" not in page
    assert "refused@a.example" not in page


def test_the_form_of_a_deployment_asks_for_requests(up, browse):
    one = httpx.get(f"{up.here.api}/deployments/name/order-confirmation/waypost").json()
    page = browse(f"{up.here.ui}/deployments/deployment/{one['id']}/run?parameters=%7B%7D")
    assert "requests" in page
