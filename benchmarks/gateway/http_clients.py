"""Clients that post orders as fast as they get responses: `PORT CLIENTS ITEMS SECONDS`.

The key is in WAYPOST_KEY. Prints JSON: notifications a second and the milliseconds a post took. HTTP is
written by hand here: a client library spends longer on a request than the gateway, and shares the machine
with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from uuid import uuid4

import orjson
import uvloop

from benchmarks.harness import sample_orders

WARM_UP = 1.0


class Clients:
    """All clients of a measurement, and their results."""

    def __init__(self, port: int, items: int, seconds: float) -> None:
        self._port = port
        self._items = items
        self._series = uuid4().hex
        self._bodies = _bodies(items)
        self._numbers = iter(range(10**9))
        began = time.perf_counter()
        self._counts_from, self._ends = began + WARM_UP, began + WARM_UP + seconds
        self.took: list[float] = []
        self.refused = 0
        self.said = ""

    async def one(self) -> None:
        """Post, wait for the response, post again."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while (began := time.perf_counter()) < self._ends:
            writer.write(self._request(next(self._numbers)))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if not _accepted(head, body, self._items):
                self.refused += 1
                self.said = (head[:60] + body[:300]).decode()
            elif began > self._counts_from:
                self.took.append(time.perf_counter() - began)
        writer.close()

    def _request(self, number: int) -> bytes:
        single = self._items == 1
        path = "/v1/notifications" if single else "/v1/notifications/batch"
        key = f"Idempotency-Key: {self._series}-{number}\r\n" if single else ""
        body = self._bodies[number % len(self._bodies)]
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {os.environ['WAYPOST_KEY']}\r\n"
            f"{key}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


def _accepted(head: bytes, body: bytes, items: int) -> bool:
    if items == 1:
        return head.startswith(b"HTTP/1.1 202")
    return head.startswith(b"HTTP/1.1 200") and body.count(b'"status":202') == items


def _bodies(items: int) -> list[bytes]:
    """The orders of the sample, as the bodies of posts of `items` each."""
    orders = [{"type": "order-confirmation", **one} for one in sample_orders.requests("-")]
    for order in orders:
        del order["idempotency_key"]
    if items == 1:
        return [orjson.dumps(order) for order in orders]
    return [
        orjson.dumps({"notifications": [orders[(at + n) % len(orders)] for n in range(items)]})
        for at in range(0, len(orders), 83)
    ]


async def main(port: int, clients: int, items: int, seconds: float) -> None:
    """Run the clients, and print their results."""
    made = Clients(port, items, seconds)
    await asyncio.gather(*(made.one() for _ in range(clients)))
    ordered = sorted(made.took) or [float("nan")]
    found = {
        "per_s": len(made.took) * items / seconds,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
        "refused": made.refused,
        "said": made.said,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:5])))
