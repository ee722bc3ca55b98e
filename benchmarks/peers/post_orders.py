"""A client that posts orders to a gateway, 500 a request: `PORT SERIES COUNT`, with the key in WAYPOST_KEY.

Prints the time.time() just before the first request.
"""

from __future__ import annotations

import os
import sys
import time
from http.client import HTTPConnection
from itertools import islice

import orjson

from benchmarks.harness import sample_ledgers

BATCH = 500


def main(port: int, series: str, count: int) -> None:
    """Post the orders, one request after the other."""
    orders = [{"type": "order-confirmation", **orjson.loads(line)} for line in _lines(series, count)]
    client = HTTPConnection("127.0.0.1", port)
    client.connect()
    print(time.time(), flush=True)
    for start in range(0, count, BATCH):
        _post(client, orders[start : start + BATCH])


def _lines(series: str, count: int) -> list[bytes]:
    return list(islice(sample_ledgers.lines(series), count))


def _post(client: HTTPConnection, orders: list[dict[str, object]]) -> None:
    headers = {"authorization": f"Bearer {os.environ['WAYPOST_KEY']}", "content-type": "application/json"}
    client.request("POST", "/v1/notifications/batch", orjson.dumps({"notifications": orders}), headers)
    response = client.getresponse()
    body = response.read()
    if response.status != 200 or body.count(b'"status":202') != len(orders):
        sys.exit(f"{response.status}: {body[:300].decode()}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
