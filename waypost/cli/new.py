"""`waypost new TYPE`: write a new type into the project."""

from __future__ import annotations

from typing import Annotated

import typer

from waypost.cli.output import warn


def new(
    type: Annotated[
        str, typer.Argument(metavar="TYPE", help="Name of the type, in kebab-case, such as seat-reserved.")
    ],
) -> None:
    """Write a new type into your project, ready to run.

    It has a flow, templates, a sample and a test. Nothing is written if a file or a type of that name is
    there. The project's prefect.yaml gets the type too.
    """
    from waypost.config.settings import Settings
    from waypost.deployments import prefect_yaml
    from waypost.deployments.new_type import make

    written = make(type)
    for path in written:
        typer.echo(f"  {path}")
    match prefect_yaml.add(Settings().project, type):
        case True:
            typer.echo(f"  {prefect_yaml.NAME} (changed)")
        case False:
            warn(
                f"{prefect_yaml.NAME} cannot be read or written, or does not end with its deployments: "
                f"add {type} there yourself"
            )
        case None:
            pass
    [test] = (path for path in written if path.name.startswith("test_"))
    typer.echo("It runs as it is. Next (restart `waypost up` if it runs, so that it takes up the type):")
    for command in (
        f"python -m pytest {test}",
        f"waypost preview {type}",
        "waypost up",
        f"waypost send {type} --sample --to you@example.com",
    ):
        typer.echo(f"  {command}")
