"""What every command shares: its help, how usage errors are told, and modules loaded on demand."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from waypost.cli.help import command_help, group_help
from waypost.cli.output import complain


def _main(run: Callable[..., Any], *args: Any, standalone_mode: bool = True, **more: Any) -> Any:
    """Run a command line to its end. A usage error is one line, with exit status 2."""
    if not standalone_mode:
        return run(*args, standalone_mode=False, **more)
    try:
        code = run(*args, standalone_mode=False, **more)
    except typer.TyperException as error:
        from waypost.cli.usage_errors import explained

        complain(explained(error))
        sys.exit(error.exit_code)
    except typer.Abort:
        complain("not confirmed; nothing was done")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


class Command(TyperCommand):
    """A command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises the parser's errors. An argument too many may be the value of the option that is missing."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            missing: Any = error.param
            if error.message or missing is None or missing.param_type_name != "option":
                raise
            _, left, _ = self.make_parser(ctx).parse_args(args=given)
            if left:
                error.message = f"missing; did you mean {max(missing.opts, key=len)} {left[0]}?"
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(command_help(self, ctx))

    def main(self, *args: Any, **more: Any) -> Any:
        return _main(super().main, *args, **more)


class Group(TyperGroup):
    """A command with commands of its own. Without one it shows its help, with exit status 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            typer.echo(ctx.get_help())
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(group_help(self, ctx))

    def main(self, *args: Any, **more: Any) -> Any:
        return _main(super().main, *args, **more)


class App(typer.Typer):
    """Commands as functions: a `typer.Typer` with our help and our errors."""

    def __init__(self, **more: Any) -> None:
        more.setdefault("cls", Group)
        super().__init__(
            add_completion=False,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            context_settings={"help_option_names": ["-h", "--help"]},
            **more,
        )

    def command(self, name: str | None = None, **more: Any) -> Any:
        return super().command(name, cls=Command, **more)


@dataclass(frozen=True, slots=True)
class OnDemand:
    """A command whose module is imported when it runs. place: `module:function` in waypost.cli, or
    `module:app`. summary: its line in the list of commands, which is also the first line of its help."""

    place: str
    summary: str

    def load(self, name: str) -> Command | Group:
        """Import the module and make the command."""
        module, _, attribute = self.place.partition(":")
        gc.disable()  # what a module makes stays: looking for garbage takes a fifth of the time of an import
        try:
            found = getattr(import_module(f"waypost.cli.{module}"), attribute)
        finally:
            gc.enable()
        if not isinstance(found, App):
            app = App()
            app.command(name)(found)
            found = app
        made: Any = get_command(found)
        made.name = name
        return made


def group_of(panels: Mapping[str, Mapping[str, OnDemand]]) -> type[Group]:
    """A group of the commands of `panels`: by heading, by name."""

    class Commands(Group):
        """The list needs no module; a command loads its own."""

        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            for panel, commands in panels.items():
                for name, one in commands.items():
                    self.commands[name] = Command(name, short_help=one.summary, rich_help_panel=panel)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            found = (commands[cmd_name] for commands in panels.values() if cmd_name in commands)
            return next((one.load(cmd_name) for one in found), None)

    return Commands
