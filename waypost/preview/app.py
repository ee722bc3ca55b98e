"""The preview's HTTP application: a page, and what it shows as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from waypost.local_page.frame import pages_of, stylesheet
from waypost.local_page.guard import HEADERS, guard
from waypost.local_page.mail_frame import SANDBOX, framed, in_scheme
from waypost.model.brand import DEFAULT
from waypost.model.notification_type import NotificationType
from waypost.preview.changes import state_of
from waypost.preview.rendered import CannotShow, Preview, Previews, WrongFacts
from waypost.rendering.sms_segments import size_in_words

HTML = Path(__file__).parent / "html"
LARGEST = 1_000_000  # bytes of a question
SEEN_SIZE = 102_000  # bytes of HTML after which Gmail cuts a mail off

Types = Mapping[str, NotificationType]


class Question(BaseModel):
    """What the page asks for. facts: JSON in place of the sample's. state: of the files, as the page last
    had it; the answer is empty if it is the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    locale: str
    brand: str = ""
    scheme: Literal["light", "dark"] = "light"
    facts: Annotated[str | None, Field(max_length=LARGEST)] = None
    state: str = ""


def make_app(
    host: str,
    types: Types,
    previews: Previews,
    changed_files: Callable[[], Sequence[str]],
) -> Starlette:
    """`GET /` is the page, and `POST /shown` answers a Question.

    changed_files: names files of types that have changed since the start.
    """
    pages = _Pages(types, previews, changed_files)
    files = [Route(f"/{name}", _file(name, kind)) for name, kind in _FILES.items()]
    routes = [Route("/", pages.page), Route("/shown", pages.shown, methods=["POST"]), stylesheet, *files]
    return Starlette(routes=routes, middleware=guard(host))


_FILES = {"preview.css": "text/css", "preview.js": "text/javascript"}


def _file(name: str, kind: str) -> Any:
    async def answer(_request: Request) -> Response:
        return FileResponse(HTML / name, media_type=kind, headers=HEADERS)

    return answer


class _Pages:
    def __init__(
        self,
        types: Types,
        previews: Previews,
        changed_files: Callable[[], Sequence[str]],
    ) -> None:
        self._types, self._previews, self._changed_files = types, previews, changed_files
        self._found: tuple[object, list[str]] = (None, [])  # of which question, and what
        self._templates = pages_of(HTML)

    async def page(self, request: Request) -> Response:
        asked = request.query_params
        shown = self._templates.get_template("page.html").render(
            types=sorted(self._types),
            brands=list(self._previews.brands),
            type=asked.get("type", ""),
            locale=asked.get("locale", self._previews.default_locale),
            brand=asked.get("brand", ""),
            sandbox=SANDBOX,
            largest=LARGEST,
        )
        return HTMLResponse(shown, headers=HEADERS)

    async def shown(self, request: Request) -> Response:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    return JSONResponse({"fault": f"more than {LARGEST:,} bytes"}, 413, headers=HEADERS)
            question = Question.model_validate_json(bytes(body))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except ValidationError:
            return JSONResponse({"fault": "not a question of this page"}, 400, headers=HEADERS)
        # Another thread and loop: a template may take seconds, and code of a type may block. Ctrl-C leaves a
        # thread behind that does not end.
        answer = await to_thread.run_sync(lambda: asyncio.run(self._answer(question)), abandon_on_cancel=True)
        return Response(status_code=204) if answer is None else JSONResponse(answer, headers=HEADERS)

    async def _answer(self, question: Question) -> dict[str, Any] | None:
        changed = self._changed_files()
        state = "\n".join((state_of(self._previews.folders), *changed))
        if state == question.state:
            return None
        type = self._types.get(question.type)
        if type is None:
            return {"state": state, "fault": f"there is no type {question.type}"}
        known = {
            "state": state,
            "languages": self._previews.languages(type),
            "brand": type.brand or DEFAULT,
            "changed": changed,
            "sample": self._sample(type, question.brand or None),
        }
        try:
            shown = await self._previews.of(type, question.locale, question.brand or None, question.facts)
        except WrongFacts as error:
            return {**known, "facts_fault": str(error), "findings": self._findings(state, type, question)}
        except CannotShow as error:
            return {
                **known,
                "fault": str(error),
                "findings": self._findings(state, type, question, str(error)),
            }
        findings = [*filter(None, [shown.too_long]), *self._findings(state, type, question)]
        return {**known, **_fields(shown, question.scheme), "findings": findings}

    def _sample(self, type: NotificationType, brand: str | None) -> str:
        """Empty if the type has none: to show the type without other facts says so."""
        with suppress(CannotShow):
            return self._previews.sample(type, brand)
        return ""

    def _findings(self, state: str, type: NotificationType, question: Question, told: str = "") -> list[str]:
        """What `waypost templates check` says of the shown mail, without the fault that is `told`. Found anew
        when a file changes, and not with each letter of the facts."""
        of = (state, type.name, question.locale, question.brand)
        if self._found[0] != of:
            found = self._previews.findings(type, question.locale, question.brand or None)
            self._found = (of, list(dict.fromkeys(found)))
        return [one for one in self._found[1] if one != told]


def _fields(shown: Preview, scheme: str) -> dict[str, Any]:
    return {
        "subject": shown.subject,
        "preheader": shown.preheader,
        "html": in_scheme(framed(shown.html), scheme) if shown.html else "",
        "text": shown.text,
        "short": shown.short,
        "short_size": _size_of(shown),
        "headers": shown.headers,
        "files": shown.files,
        "size": shown.size,
        "too_large": shown.size > SEEN_SIZE,
        "version": shown.version,
    }


def _size_of(shown: Preview) -> str:
    """The segments of an SMS, or the characters of another short message."""
    if shown.short is None:
        return ""
    return size_in_words(shown.short) if shown.is_sms else f"{len(shown.short)} characters"
