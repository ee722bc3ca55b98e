"""Requests of the shipped types, as JSON."""

from __future__ import annotations


def order(number: str, **recipient) -> dict:
    return {
        "recipient": {"id": f"r-{number}", "email": f"r{number}@a.example", **recipient},
        "data": {
            "order_id": number, "ordered_at": "2026-01-02", "currency": "EUR",
            "lines": [{"product": "Käse", "quantity": 2, "unit_price": "1.25"}],
            "ship_to": {"name": "N", "address": "A", "city": "C", "country": "X"},
        },
    }  # fmt: skip


def alert(**more) -> dict:
    to = more.pop("to", "ops")
    data = {"severity": "warning", "source": "db", "summary": "Disk", "started_at": "2026-01-02T03:04:05Z"}
    return {
        "recipient": {"id": to, "email": f"{to}@a.example"},
        "data": {**data, **more.pop("data", {})},
        **more,
    }
