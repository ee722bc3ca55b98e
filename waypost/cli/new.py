"""`waypost new TYPE`: write a new type into the project."""

from __future__ import annotations

from typing import Annotated

import typer


def new(
    type: Annotated[
        str, typer.Argument(metavar="TYPE", help="Name of the type, in kebab-case, such as seat-reserved.")
    ],
) -> None:
    """Write a new type into your project, ready to run.

    It has a flow, templates, a sample and a test. Nothing is written if a file or a type of that name is
    there.
    """
    from waypost.deployments.new_type import make

    written = make(type)
    for path in written:
        typer.echo(f"  {path}")
    [test] = (path for path in written if path.name.startswith("test_"))
    typer.echo("It runs as it is. Next (restart `waypost up` if it runs, so that it takes up the type):")
    for command in (
        f"python -m pytest {test}",
        f"waypost preview {type}",
        "waypost up",
        f"waypost send {type} --sample --to you@example.com",
    ):
        typer.echo(f"  {command}")
