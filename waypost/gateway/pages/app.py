"""The application of the pages: its routes, and how it answers errors.

`/u/TOKEN` turns one category off (RFC 8058), and `/c/TOKEN` confirms one (double opt-in). `/p/TOKEN` is the
preference page. A GET changes nothing: the scanners of mail providers follow every link.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from waypost.gateway.http import responses
from waypost.gateway.http.request_head import Head
from waypost.gateway.pages import form, page_response
from waypost.gateway.pages.context import PagesContext
from waypost.gateway.pages.form import BadForm
from waypost.gateway.pages.wording import language_accepted, language_for
from waypost.gateway.problems import Problem
from waypost.gateway.server.metrics_middleware import MetricsMiddleware
from waypost.gateway.unavailable import ledger_away
from waypost.ledger.database.outages import outages
from waypost.model.cadence import Every
from waypost.recipients import choices
from waypost.recipients.links import Page
from waypost.recipients.open_link import Opened, opened

ALIVE = {"status": "ok", "serves": "pages of recipients"}
METHODS = ["GET", "POST", "OPTIONS"]  # HEAD is answered as GET
ALLOW = "GET, HEAD, POST, OPTIONS"

_OF_LINKS = {f"/{page}/" for page in Page}

logger = logging.getLogger("waypost.gateway")

Endpoint = Callable[[Request], Awaitable[Response]]
ForLink = Callable[[Request, Opened], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Counted:
    """The path by which the metrics count a request: without its token."""

    path: str


def pages(context: PagesContext, https: bool = False) -> Starlette:
    """The application. https: it serves TLS itself and tells browsers to require it (RFC 6797)."""
    desk = _Pages(context)
    return Starlette(
        routes=[
            *(
                Route(f"/{page}/{{token}}", desk.answering(page, endpoint), methods=METHODS)
                for page, endpoint in desk.endpoints.items()
            ),
            Route("/style.css", _style),
            Route("/healthz", _alive),
        ],
        middleware=[Middleware(MetricsMiddleware, https=https), Middleware(Head)],
        exception_handlers={HTTPException: desk.no_page},
    )


async def _alive(_request: Request) -> Response:
    return responses.json(ALIVE)


async def _style(request: Request) -> Response:
    asked = request.query_params
    return page_response.style(asked.get("accent", ""), asked.get("dark", ""))


class _Pages:
    def __init__(self, context: PagesContext) -> None:
        self._context = context
        self.endpoints: Mapping[Page, ForLink] = {
            Page.UNSUBSCRIBE: self.unsubscribe,
            Page.PREFERENCES: self.preferences,
            Page.CONFIRM: self.confirm,
        }

    def answering(self, page: Page, endpoint: ForLink) -> Endpoint:
        """`endpoint` for links that work. Everything else is answered here, as a page in plain words."""

        counted = _Counted(f"/{page}/{{token}}")

        async def answered(request: Request) -> Response:
            request.scope["route"] = counted
            if request.method == "OPTIONS":
                return Response(status_code=204, headers={**page_response.headers(), "Allow": ALLOW})
            try:
                found = await self._opened(request, page)
                if found is None:
                    return self._message(request, "gone", 404)
                return await self._done(endpoint, request, found)
            except ClientDisconnect:
                raise
            except Exception as error:
                return self._failed(request, error)

        return answered

    async def _opened(self, request: Request, page: Page) -> Opened | None:
        context, token = self._context, request.path_params["token"]
        return await opened(context.ledger, context.links, page, token, context.catalogue.terms)

    async def _done(self, endpoint: ForLink, request: Request, found: Opened) -> Response:
        try:
            return await endpoint(request, found)
        except BadForm as error:
            return self._message(request, "unread", error.status, found)
        except Problem as error:  # of the body
            made = self._message(request, "unread", error.kind.status, found)
            made.headers.update(error.headers or {})
            return made

    async def unsubscribe(self, request: Request, found: Opened) -> Response:
        """One button; a POST of it, or of RFC 8058, turns the category off."""
        done = request.method == "POST"
        if done:
            fields = await form.fields_of(request)
            if not form.is_one_click(fields):
                raise BadForm
            by = choices.BUTTON if form.ON_PAGE in fields else choices.ONE_CLICK
            context = self._context
            await choices.turn_off(context.ledger, found.link, by, context.catalogue.names)
        return self._page(request, "unsubscribe", found, category=found.link.category, done=done)

    async def confirm(self, request: Request, found: Opened) -> Response:
        """One button; a POST of it confirms the category."""
        done = request.method == "POST"
        if done:
            if not form.is_confirmation(await form.fields_of(request)):
                raise BadForm
            await choices.confirm(self._context.ledger, found.link, self._context.catalogue)
        return self._page(request, "confirm", found, category=found.link.category, done=done)

    async def preferences(self, request: Request, found: Opened) -> Response:
        """Every category, with what applies; a POST stores what was chosen."""
        context, saved = self._context, request.method == "POST"
        shown = choices.offers(context.catalogue, await choices.standing(context.ledger, found.link))
        if saved:
            answers = form.answers(await form.fields_of(request), shown)
            chosen = choices.changed(shown, answers, confirms=bool(found.link.address))
            await choices.save(context.ledger, found.link, chosen, context.catalogue.names)
            shown = choices.offers(context.catalogue, await choices.standing(context.ledger, found.link))
        return self._page(
            request, "preferences", found, offers=shown, saved=saved, every=list(Every),
            always=context.catalogue.always,
        )  # fmt: skip

    def _page(self, request: Request, name: str, found: Opened, **values: Any) -> Response:
        lang, brand = self._language(found), self._context.brand(found.link.brand)
        return page_response.page(request, name, lang, brand, address=found.link.address, **values)

    def _language(self, found: Opened) -> str:
        return language_for(found.locale or self._context.default_locale)

    def _message(self, request: Request, what: str, status: int, found: Opened | None = None) -> Response:
        """A page that says what is wrong. Without a link that works, its reader's language is unknown."""
        header = request.headers.get("accept-language", "")
        lang = self._language(found) if found else language_accepted(header, self._context.default_locale)
        brand = self._context.brand(found.link.brand) if found else self._context.brand()
        return page_response.page(request, "message", lang, brand, status, what=what)

    def _failed(self, request: Request, error: Exception) -> Response:
        """Only the class of an unexpected error is logged: its text may contain addresses."""
        if away := ledger_away(error):
            outages.tell(error)
            made = self._message(request, "trouble", 503)
            made.headers.update(away.headers or {})
            return made
        logger.error("internal error: %s", type(getattr(error, "orig", None) or error).__name__)
        return self._message(request, "trouble", 500)

    async def no_page(self, request: Request, error: Exception) -> Response:
        """Unknown paths, and methods that a path does not have."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        made = self._message(request, "gone" if status == 404 else "unread", status)
        if status == 405:
            made.headers["Allow"] = ALLOW if request.url.path[:3] in _OF_LINKS else "GET, HEAD"
        return made
