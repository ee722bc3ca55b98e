"""The frame of the pages on this machine: their head, and their stylesheet."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

HERE = Path(__file__).parent


def pages_of(folder: Path) -> Environment:
    """The pages in a folder, which extend `_frame.html`."""
    loader = FileSystemLoader([folder, HERE / "html"])
    return Environment(loader=loader, autoescape=select_autoescape(["html"]))


async def _answer(_request: Request) -> Response:
    return FileResponse(HERE / "page.css", media_type="text/css")


stylesheet = Route("/page.css", _answer)
