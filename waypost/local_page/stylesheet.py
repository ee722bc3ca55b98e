"""The stylesheet of the pages on this machine."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

FILE = Path(__file__).with_name("page.css")


async def _answer(_request: Request) -> Response:
    return FileResponse(FILE, media_type="text/css")


stylesheet = Route("/page.css", _answer)
