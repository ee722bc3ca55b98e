"""Escapes a short text for Apprise: the text is shown as it was written, and adds no markup to a chat.

Apprise escapes text for services that read HTML, but not for Markdown. Services that accept plain text get
plain text. For services that always render Markdown, the text is escaped here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import Any

from apprise import NotifyFormat, conversion

_CONVERSION: Any = conversion  # it has no types
_HTML_ONLY = "NotifyTelegram"  # its plain text too goes out as HTML, unescaped
# CommonMark, section 2.4: a backslash before punctuation makes it literal.
_BACKSLASHED = {
    "NotifyDiscord", "NotifyFluxer", "NotifyGuilded", "NotifyMattermost", "NotifyMSTeams", "NotifyReddit",
    "NotifyRevolt", "NotifyTwist", "NotifyWorkflows", "NotifyZulip",
}  # fmt: skip
# These have no escape for some of their markup: an invisible character separates a mark from its word.
_BROKEN = {"NotifyEvolution", "NotifyGoogleChat", "NotifyRocketChat", "NotifyWhatsApp"}

_MARKS = re.compile(r"[\\`*_~|\[\]<>#]|^ *[-+](?= )", re.MULTILINE)
_LINK = re.compile(r"(https?://[^\s<>\[\]()*`|]+)")
_TO_ALL = re.compile(r"@(?=(?:everyone|here|channel|all)\b)", re.IGNORECASE)
_UNSEEN = "\N{WORD JOINER}"


def as_text(service: Any, title: str, body: str) -> tuple[str, str]:
    """`title` and `body` as `service.notify` takes them with `body_format` TEXT. Sets the format that
    `service` speaks."""
    service.notify_format = wanted = spoken(type(service), service.notify_format)
    escaped = escaping(service)
    title, body = escaped(title), escaped(body)
    merged = service.title_maxlen <= 0  # then the title becomes a line of the body
    return (_converted(wanted, title) if merged else title), _converted(wanted, body)


def _converted(wanted: NotifyFormat, text: str) -> str:
    return str(_CONVERSION.convert_between(NotifyFormat.TEXT, wanted, text))


def spoken(service: Any, format: NotifyFormat) -> NotifyFormat:
    """The format to use for a service class whose own format is `format`: never Markdown, which Apprise does
    not escape."""
    if service.__name__ == _HTML_ONLY:
        return NotifyFormat.HTML
    return NotifyFormat.TEXT if format == NotifyFormat.MARKDOWN else format


def escaping(service: Any) -> Callable[[str], str]:
    """How to escape a text for `service`, which may read plain text as markup."""
    name = type(service).__name__
    if name in _BACKSLASHED:
        return lambda text: _outside_links(text, lambda mark: f"{mark[0][:-1]}\\{mark[0][-1]}")
    if name in _BROKEN:
        return lambda text: _outside_links(text, lambda mark: f"{mark[0]}{_UNSEEN}")
    if name == "NotifySlack" and not service.use_blocks:  # its API reads &, < and > in every text
        return lambda text: escape(text, quote=False)
    return lambda text: text


def _outside_links(text: str, change: Callable[[re.Match[str]], str]) -> str:
    """Apply `change` to marks outside links: a service shows a link as it is."""
    pieces = _LINK.split(text)
    pieces[::2] = [_TO_ALL.sub(f"@{_UNSEEN}", _MARKS.sub(change, piece)) for piece in pieces[::2]]
    return "".join(pieces)
