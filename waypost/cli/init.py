"""`waypost init`: make a project for your own types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[
        Path, typer.Argument(help="Empty folder for the project; created if it is missing.")
    ] = Path(),
) -> None:
    """Make a project for your own types in an empty folder.

    It has a type, its templates and its test, settings, and a Dockerfile with a compose file.
    """
    from waypost.deployments.new_project import make

    for path in make(folder):
        typer.echo(f"  {path}")
    typer.echo(f"The project is in {folder.absolute()}; its README.md has the next commands.")
