"""`waypost preview`: the mail of a type as it will look, on a page of this machine or as pictures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from waypost.cli.brands import known_brands
from waypost.cli.output import AsJson, complain, print_json, warn
from waypost.config.settings import Settings

if TYPE_CHECKING:
    from waypost.model.notification_type import NotificationType
    from waypost.preview.pictures import Picture
    from waypost.preview.rendered import Previews

PORT = 8026  # beside the pages of `waypost up`


def preview(
    type: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Type to show. Default: every type.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port of the page; 0 picks a free one.")
    ] = PORT,
    locale: Annotated[
        list[str] | None,
        typer.Option(help="Locale, such as de; for pictures also several. Default: the default locale."),
    ] = None,
    brand: Annotated[str | None, typer.Option(help="Brand of the mail. Default: the type's.")] = None,
    png: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", file_okay=False, help="Write pictures here instead; it needs Chromium."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show mails as they will look, while you write them.

    It serves a page on this machine, until Ctrl-C. The page shows each type with its sample or with other
    facts, and follows every change of the templates. The renderer is the one that sends; nothing is sent.
    With `--png` it writes pictures at the width of a phone and of a desktop, light and dark.
    """
    if as_json and png is None:
        raise typer.BadParameter("only together with --png", param_hint="--json")
    from waypost.deployments.registry import find, registered
    from waypost.preview.rendered import Previews

    settings = Settings()
    logging.getLogger("waypost.templates").setLevel(logging.ERROR)  # the page says what the log would
    previews, locales = Previews(settings, known_brands(settings)), locale or [settings.default_locale]
    if type is not None:
        find(type)
    types = {name: one.type for name, one in registered().items()}
    if png is None:
        asked = {"type": type, "locale": locales[0] if locale else None, "brand": brand}
        _serve(settings, types, previews, port, urlencode({name: one for name, one in asked.items() if one}))
        return
    wanted = {type: types[type]} if type else types
    faults: list[str] = []
    pictures = _take(previews, wanted, locales, brand, png, faults)
    if as_json:
        print_json({"pictures": list(pictures), "faults": faults})
    else:
        for picture in pictures:
            typer.echo(picture.file)
        for fault in faults:
            complain(fault)
    if faults:
        raise typer.Exit(1)


def _serve(
    settings: Settings, types: Mapping[str, NotificationType], previews: Previews, port: int, asked: str
) -> None:
    from waypost.deployments.outdated_worker import NewerFiles
    from waypost.preview.app import make_app
    from waypost.preview.server import HOST, serve
    from waypost.system.process import leave_threads_behind, run_until_signalled

    newer = NewerFiles(settings.project)
    app = make_app(HOST, types, previews, newer.names)

    def ready(address: str) -> None:
        typer.echo(f"preview at {address}{'?' if asked else ''}{asked}; Ctrl-C ends it")

    async def main(stop: asyncio.Event) -> None:
        await serve(app, port, stop, ready)
        leave_threads_behind()  # of mails that are being rendered

    run_until_signalled(main)


def _take(
    previews: Previews,
    types: Mapping[str, NotificationType],
    locales: list[str],
    brand: str | None,
    folder: Path,
    faults: list[str],
) -> Iterator[Picture]:
    """Each picture, once it is written. faults: gets a sentence for each mail that has none. Raises
    NoBrowser."""
    from waypost.preview.browser import open_page
    from waypost.preview.pictures import TooHigh, take_all
    from waypost.preview.rendered import CannotShow

    folder.mkdir(parents=True, exist_ok=True)
    with open_page() as page:
        for name, locale in product(types, locales):
            try:
                shown = asyncio.run(previews.of(types[name], locale, brand))
                if shown.too_long:
                    warn(f"{name} in {locale}: {shown.too_long}")
                if shown.html:
                    yield from take_all(page, shown.html, name, locale, folder, brand)
                elif len(types) > 1:
                    warn(f"{name} in {locale} has no picture: its mail is plain text")
                else:
                    faults.append(f"{name} in {locale}: its mail is plain text, which has no picture")
            except (CannotShow, TooHigh) as error:
                faults.append(f"{name} in {locale}: {error}")
