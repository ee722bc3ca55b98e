"""Real orders, end to end: each is accepted, sent once, and correct to the last accent."""

from __future__ import annotations

import html
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from babel.numbers import format_currency

ROOT = Path(__file__).parents[2]
NORTHWIND = ROOT.parent / "shared" / "data" / "northwind-orders.jsonl"
SAMPLES = ROOT / "waypost" / "demo" / "orders.jsonl"


def exact_total(order: dict) -> Decimal:
    """The total, computed only from the file."""
    lines = (
        Decimal(line["unit_price"]) * line["quantity"] * (1 - Decimal(line["discount"]))
        for line in order["lines"]
    )
    return sum(lines, Decimal(order["freight"]))


@pytest.fixture(scope="module")
def orders(up, tmp_path_factory):
    """The file's requests, and the mails sent for them by order. Other tests send the samples too: the keys
    are these tests' own."""
    lines = (NORTHWIND if NORTHWIND.exists() else SAMPLES).read_text(encoding="utf-8").splitlines()
    requests = [json.loads(line) for line in lines]
    for request in requests:
        request["idempotency_key"] = f"orders-{request['data']['order_id']}"
    file = tmp_path_factory.mktemp("orders") / "orders.jsonl"
    file.write_text("".join(json.dumps(request) + "\n" for request in requests), encoding="utf-8")
    done, summary = up.send("order-confirmation", file=file)
    assert done.returncode == 0, done.stderr
    named = {request["data"]["order_id"] for request in requests}
    mails = {
        number.group(): mail
        for mail in up.mails()
        if (number := re.search(r"\b\d{4,5}\b", mail["Subject"])) and number.group() in named
    }
    return file, requests, summary, mails


def test_every_line_is_accepted_and_sent_once(orders):
    _, requests, summary, mails = orders
    assert summary["accepted"] == summary["states"]["sent"] == len(requests)
    refused = sum(request["recipient"]["email"].startswith("refused@") for request in requests)
    assert len(mails) == len(requests) - refused


def test_every_total_is_the_one_computed_from_the_file(orders):
    _, requests, _, mails = orders
    for request in requests:
        order, locale = request["data"], request["recipient"]["locale"].replace("-", "_")
        if order["order_id"] not in mails:
            continue
        total = format_currency(exact_total(order), order["currency"], locale=locale)
        for part in ("plain", "html"):
            text = mails[order["order_id"]].get_body((part,)).get_content()
            assert total in (html.unescape(text) if part == "html" else text), order["order_id"]


def test_every_accent_is_intact_in_name_goods_and_address(orders):
    _, requests, _, mails = orders
    for request in requests:
        mail = mails.get(request["data"]["order_id"])
        if mail is None:
            continue
        plain = " ".join(mail.get_body(("plain",)).get_content().split())
        assert mail["To"].addresses[0].display_name == request["recipient"]["name"]
        for line in request["data"]["lines"]:
            assert " ".join(line["product"].split()) in plain, request["data"]["order_id"]


def test_every_mail_has_text_and_html_and_says_who_sent_it(orders):
    for mail in orders[3].values():
        assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
        assert mail["From"].addresses[0].addr_spec == "no-reply@waypost.example"
        assert mail["Message-ID"]


def test_the_same_file_again_sends_nothing_and_says_so(up, orders):
    file, requests, _, _ = orders
    before = len(up.mails())
    done = up.run("send", "order-confirmation", "--from", str(file))
    assert done.returncode == 0
    assert "nothing was sent: every request was accepted before" in done.stdout
    assert f"{len(requests)}" in done.stdout
    assert len(up.mails()) == before


def test_no_address_became_a_parameter_of_a_run(up, orders):
    _, _, summary, _ = orders
    import httpx

    for id in summary["flow_runs"]:
        run = httpx.get(f"{up.here.api}/flow_runs/{id}").json()
        assert set(run["parameters"]) <= {"batch", "requests"}
        assert run["parameters"].get("requests", []) == []
        assert "@" not in json.dumps(run)
