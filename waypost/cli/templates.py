"""`waypost templates`: check the templates, and bring their catalogues up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from waypost.cli.app import App
from waypost.cli.output import AsJson, complain, out, print_json
from waypost.cli.template_check import check
from waypost.cli.template_diff import diff
from waypost.config.settings import Settings
from waypost.system.plurals import counted

app = App(help="Check the templates, and bring their catalogues up to date.")
app.command()(check)
app.command()(diff)


@app.command()
def update(
    languages: Annotated[
        list[str] | None,
        typer.Argument(metavar="LANGUAGE", help="Languages, such as de or pt-BR. Default: those there are."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the texts of your templates into their catalogues.

    The catalogues are in templates/_locales, a gettext file for each language. New texts come in without a
    translation, texts that left the templates go, and translations stay. A changed text keeps its translation
    as fuzzy until a person confirms it. A new language gets a catalogue.
    """
    from waypost.model.locale import known_locale
    from waypost.rendering.catalogue_update import update as update_catalogue
    from waypost.rendering.catalogues import BrokenCatalogue, catalogue_languages
    from waypost.rendering.template_files import TemplateError

    folder = _own_folder(Settings())
    try:
        wanted = [known_locale(lang) for lang in languages or []] or catalogue_languages(folder)
        done = {lang: update_catalogue(folder, lang) for lang in wanted}
    except (TemplateError, BrokenCatalogue, ValueError) as error:
        complain(str(error))
        raise typer.Exit(1) from None
    if as_json:
        print_json(
            [
                {
                    "language": lang, "file": str(one.file), "texts": one.texts, "lacking": one.lacking,
                    "fuzzy": one.fuzzy, "obsolete": one.obsolete,
                }
                for lang, one in done.items()
            ]
        )  # fmt: skip
        return
    for one in done.values():
        file = one.file.relative_to(folder.parent)
        todo = f"{one.lacking - one.fuzzy} to translate, {one.fuzzy} to confirm (fuzzy)"
        typer.echo(f"{file}: {counted(one.texts, 'text')}, {todo}, {one.obsolete} removed")
    if not done:
        out.print(f"no catalogue in {folder}; name a language: `waypost templates update de`")


def _own_folder(settings: Settings) -> Path:
    """The templates folder of the project. Exits if it has none."""
    folder = settings.project / settings.templates
    if not folder.is_dir():
        complain(f"{folder} does not exist: the project has no templates of its own")
        raise typer.Exit(1)
    return folder
