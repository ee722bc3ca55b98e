"""`waypost docs`: the pages of the documentation, of this version, in the terminal."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from waypost.cli.output import AsJson, complain, out, print_json, show, table

FOLDER = Path(__file__).parent.parent / "docs"
WIDEST = 100  # columns; longer lines are hard to read


def docs(
    page: Annotated[
        str, typer.Argument(help="The page, such as providers; without it, all are listed.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Read the documentation of this version.

    The text is that of the file if it does not go to a terminal.
    """
    pages = {path.stem: path for path in sorted(FOLDER.glob("*.md"))}
    name = page.removeprefix("docs/").removesuffix(".md")
    if not name:
        _list(pages, as_json)
    elif name not in pages:
        like = difflib.get_close_matches(name, pages, 1)
        complain(
            f"no page {page!r}; " + (f"did you mean {like[0]}?" if like else "`waypost docs` lists them")
        )
        sys.exit(2)
    else:
        _show(name, pages[name], as_json)


def _list(pages: dict[str, Path], as_json: bool) -> None:
    titles = {name: _title(path) for name, path in pages.items()}
    if as_json:
        print_json([{"page": name, "title": title} for name, title in titles.items()])
        return
    show(table("Page", "About", rows=titles.items()))
    typer.echo("`waypost docs PAGE` shows a page")


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return next(lines).lstrip("# ").strip()


def _show(name: str, path: Path, as_json: bool) -> None:
    text = path.read_text(encoding="utf-8")
    if as_json:
        print_json({"page": name, "title": _title(path), "text": text})
    elif not out.is_terminal:
        typer.echo(text, nl=False)
    else:
        _page(text)


def _page(text: str) -> None:
    """Show the text with headings, tables and code, in the reader's pager."""
    from rich.markdown import Markdown

    with out.pager(styles=True):
        out.print(Markdown(text, hyperlinks=False), width=min(out.width, WIDEST))
