"""The orders that a peer is given, and the mails that it makes of them.

PEER_MAILS is a file with an order a line: its recipient, its facts, and its finished texts. With
PEER_TEMPLATES, a folder, the peer gets the facts and renders the texts itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import formataddr, formatdate, make_msgid
from typing import Any

DOMAIN = "waypost.example"
SENDER = f"Waypost <no-reply@{DOMAIN}>"
HOST = os.environ["PEER_SMTP_HOST"]
PORT = int(os.environ["PEER_SMTP_PORT"])
CONNECTIONS = int(os.environ["PEER_CONNECTIONS"])
RENDERS = bool(os.environ.get("PEER_TEMPLATES"))
BATCH = 500


def orders(series: str, count: int) -> list[dict[str, Any]]:
    """`count` orders as a producer enqueues them, each to an address of its own."""
    with open(os.environ["PEER_MAILS"], encoding="utf-8") as lines:
        samples = [json.loads(line) for line in lines]
    given = ("recipient", "data") if RENDERS else ("subject", "text", "html")
    return [
        {"to": f"{series}-{number}@northwind.example", "name": sample["recipient"]["name"]}
        | {name: sample[name] for name in given}
        for number in range(count)
        for sample in (samples[number % len(samples)],)
    ]


def batches(items: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The items, BATCH at a time."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def texts(order: dict[str, Any]) -> tuple[str, str, str]:
    """The subject, plain text and HTML of an order: those it came with, or rendered from its facts."""
    if not RENDERS:
        return order["subject"], order["text"], order["html"]
    import rendering

    return rendering.render(order["recipient"], order["data"])


def message(order: dict[str, Any]) -> MIMEMultipart:
    """The mail of an order. EmailMessage would take more than twice as long."""
    subject, text, html = texts(order)
    made = MIMEMultipart("alternative")
    made["From"] = SENDER
    made["To"] = formataddr((order["name"], order["to"]))
    made["Subject"] = subject
    made["Date"] = formatdate(localtime=True)
    made["Message-ID"] = make_msgid(domain=DOMAIN)  # without a domain, each asks for the host's name
    made.attach(MIMEText(text))
    made.attach(MIMEText(html, "html"))
    return made
