"""Short messages posted by HTTP (as by Apprise's json://), kept as .json files."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from waypost.system.clock import now

LARGEST = 1_000_000  # bytes


class TextHandler:
    """Each text is in a file before the response 200."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    async def take(self, request: Request) -> Response:
        """Keep the body with its recipient's number, under a name that sorts by arrival."""
        body = await request.body()
        if len(body) > LARGEST:
            return JSONResponse({"error": "too large"}, status_code=413)
        name = f"{now():%Y%m%dT%H%M%S%f}-{next(self._numbers):06}.json"
        part = self._folder / f".{name}.part"
        part.write_bytes(_with_number(body, request.path_params["number"]))
        part.rename(self._folder / name)
        return JSONResponse({"kept": name})


def _with_number(body: bytes, number: str) -> bytes:
    try:
        return orjson.dumps({"to": number, **orjson.loads(body)}, option=orjson.OPT_INDENT_2)
    except (orjson.JSONDecodeError, TypeError):
        return body  # not an object: kept as it came
