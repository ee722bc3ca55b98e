"""Codes, links, addresses and facts must never reach Prefect: its database and logs are searched."""

from __future__ import annotations

import re
import sqlite3

import pytest
from support.processes import eventually
from support.requests import alert, order

from waypost.mail.masking import mask

ADDRESS = "canary-mailbox@canary-domain.example"
REFUSED = "refused@canary-refusal.example"
CANARIES = {
    "address": ADDRESS,
    "refused address": REFUSED,
    "phone": "+15550142857",
    "phone as an id": "+15550142999",
    "name": "Canarina Name",
    "product": "Canary Cheese",
    "street": "Canary Street 1",
    "summary": "Canary summary",
    "page": "canary-page.example",
}


@pytest.fixture(scope="module")
def searched(up):
    """Send requests with canaries in every way that fails or works; returns all that Prefect has, as text."""
    bad = order("Z-1", email=ADDRESS, phone=CANARIES["phone"], name=CANARIES["name"])
    bad["data"]["lines"][0]["product"] = CANARIES["product"]
    bad["data"]["ship_to"]["address"] = CANARIES["street"]
    refused = order("Z-2", email=REFUSED, phone=CANARIES["phone"])
    hopeless = order("Z-3", email=REFUSED)
    smuggled = order("Z-4", email=ADDRESS, name="=?utf-8?q?Canarina Name=0D=0ABcc:_e@x.test?=")
    _, summary = up.send("order-confirmation", bad, refused, hopeless, smuggled)
    assert summary["states"] == {"sent": 2, "failed": 1}
    assert [one["line"] for one in summary["rejected"]] == [4]
    wary = alert(to="canary", data={"summary": CANARIES["summary"]})
    wary["recipient"]["email"] = ADDRESS
    up.send("alert", wary)
    phoned = alert(to=CANARIES["phone as an id"], data={"summary": CANARIES["summary"]})
    phoned["recipient"]["email"] = ADDRESS
    up.send("alert", phoned)
    page = f"https://{CANARIES['page']}/verify"
    signup = {"recipient": {"email": ADDRESS}, "data": {"product": "P", "verify_url": page}}
    _, signed = up.send("signup-verification", signup)
    runs = [summary["flow_runs"][0], signed["flow_runs"][0]]
    eventually(lambda: all(run in everything(up) for run in runs))
    return everything(up)


def everything(up) -> str:
    """Every value of every table of Prefect's database, and every log."""
    logs = [path.read_text(errors="replace") for path in up.home.glob("*.log")]
    with sqlite3.connect(f"file:{up.home / 'prefect.db'}?mode=ro", uri=True) as prefect:
        tables = [name for (name,) in prefect.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [repr(prefect.execute(f'SELECT * FROM "{table}"').fetchall()) for table in tables]
    return "\n".join(rows + logs)


@pytest.mark.parametrize("name", CANARIES)
def test_prefect_never_learns(searched, name):
    assert CANARIES[name] not in searched


def test_it_knows_addresses_masked_so_the_search_is_not_vain(searched):
    assert mask(ADDRESS) in searched
    assert mask(REFUSED) in searched


def test_prefect_never_learns_a_code_or_a_link(up, searched):
    texts = [mail.get_body(("plain",)).get_content() for mail in up.mails(ADDRESS)]
    [plain] = [text for text in texts if CANARIES["page"] in text]
    code, token = re.search(r"\b\d{6}\b", plain).group(), re.search(r"token=(\S+)", plain).group(1)
    assert token not in searched
    assert not re.search(rf"(?<![\d.]){code}(?!\d)", searched)


def test_the_ledger_and_the_home_are_the_owners_alone(up):
    assert up.home.stat().st_mode & 0o077 == 0
    assert (up.home / "secret.key").stat().st_mode & 0o077 == 0
