"""The mailbox's pages: a list of what arrived, and each message as its recipient sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from waypost.local_page.frame import pages_of, stylesheet
from waypost.local_page.guard import HEADERS
from waypost.local_page.mail_frame import MAIL_POLICY, SANDBOX, framed
from waypost.mailbox import kept

HTML = Path(__file__).parent / "html"
MOST = 200  # messages in the list


class Pages:
    """The routes over a mailbox's folder. Each reads files, so each runs in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._templates = pages_of(HTML)

    @property
    def routes(self) -> list[Route]:
        """`/` lists; `/mails/NAME` and `/texts/NAME` show; `.../html` and `.../source` are a mail's own."""
        return [
            Route("/", self._list),
            stylesheet,
            Route("/frame.js", self._script),
            Route("/mails/{name}", self._mail),
            Route("/mails/{name}/html", self._html),
            Route("/mails/{name}/source", self._source),
            Route("/texts/{name}", self._text),
        ]

    def _list(self, _request: Request) -> Response:
        return self._page("list.html", messages=kept.newest(self._folder, MOST), most=MOST)

    def _mail(self, request: Request) -> Response:
        path = self._found(request, ".eml")
        return self._page("mail.html", name=path.name, mail=kept.read_mail(path))

    def _script(self, _request: Request) -> Response:
        return FileResponse(HTML / "frame.js", media_type="text/javascript")

    def _html(self, request: Request) -> Response:
        written = kept.read_mail(self._found(request, ".eml")).html or ""
        return HTMLResponse(framed(written), headers={**HEADERS, "Content-Security-Policy": MAIL_POLICY})

    def _source(self, request: Request) -> Response:
        return FileResponse(self._found(request, ".eml"), media_type="text/plain; charset=utf-8")

    def _text(self, request: Request) -> Response:
        to, words = kept.read_text(self._found(request, ".json"))
        return self._page("text.html", to=to, words=words)

    def _found(self, request: Request, suffix: str) -> Path:
        path = kept.find(self._folder, request.path_params["name"], suffix)
        if path is None:
            raise HTTPException(404, "The mailbox keeps no such message.")
        return path

    def _page(self, template: str, **shown: Any) -> HTMLResponse:
        page = self._templates.get_template(template).render(sandbox=SANDBOX, **shown)
        return HTMLResponse(page, headers=HEADERS)
