"""`waypost simulate`: the ledger's loop under thousands of faults, in virtual time."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from waypost.cli.output import AsJson, err, out, print_json, table

if TYPE_CHECKING:
    from deployments.simulation.result import SimulationResult
    from deployments.simulation.runner import Totals

BAD_SHOWN = 10


def simulate(
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds to run.")] = 1000,
    first: Annotated[int, typer.Option("--from", min=0, help="First seed.")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="Replay this one seed, step by step.")] = None,
    at_step: Annotated[
        int | None, typer.Option(min=1, help="With --seed: kill a process at this step, and nothing else.")
    ] = None,
    every_step: Annotated[
        bool, typer.Option("--every-step", help="With --seed: kill at each of its steps in turn.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processors to use. Default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate faults, and count what is lost, late, or sent twice without cause.

    The real dispatcher, reaper, ledger and steps run against scripted providers, a scripted Prefect and
    processes that die at any await.

    Exit status 0 only when nothing was. A seed that fails fails again: replay it with --seed.
    """
    _check(seed, at_step, every_step)
    from deployments.simulation import runner

    if seed is not None and not every_step:
        _tell_one(runner.replay(seed, at_step), as_json)
        return
    count = jobs or runner.processors()
    with _progress() as progress:
        task = progress.add_task("seeds" if seed is None else "steps", total=None if every_step else seeds)

        def show(totals: Totals) -> None:
            progress.update(task, completed=totals.seeds)

        if seed is not None:
            totals = runner.kill_at_every_step(seed, count, show)
        else:
            totals = runner.run(range(first, first + seeds), count, show)
    _tell_all(totals, as_json)


def _check(seed: int | None, at_step: int | None, every_step: bool) -> None:
    """Raises typer.BadParameter for options that do not go together."""
    if seed is None and (at_step is not None or every_step):
        raise typer.BadParameter("--at-step and --every-step are about one seed: name it with --seed")
    if at_step is not None and every_step:
        raise typer.BadParameter(
            "--every-step kills at each step in turn: leave --at-step out, or kill there alone"
        )


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err)


def _tell_one(verdict: SimulationResult, as_json: bool) -> None:
    if as_json:
        print_json(asdict(verdict))
    else:
        out.print("\n".join(escape(line) for line in verdict.trace), soft_wrap=True)
        out.print(table("", "", title=f"seed {verdict.seed}", rows=_rows(asdict(verdict))))
        _tell_troubles(verdict)
    if not verdict.good:
        raise typer.Exit(1)


def _tell_all(totals: Totals, as_json: bool) -> None:
    if as_json:
        print_json(asdict(totals))
    else:
        out.print(table("", "", title="Simulated", rows=_rows(asdict(totals))))
        for verdict in totals.bad[:BAD_SHOWN]:
            _tell_troubles(verdict)
    if totals.bad:
        err.print(
            f"[red]{len(totals.bad)} failed[/]; replay one with waypost simulate --seed {totals.bad[0].seed}"
        )
        raise typer.Exit(1)


def _rows(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, round(value, 1)) for name, value in values.items() if isinstance(value, (int, float))]


def _tell_troubles(verdict: SimulationResult) -> None:
    for kind in ("lost", "unexplained", "late", "illegal"):
        for line in getattr(verdict, kind):
            err.print(f"[red]seed {verdict.seed}: {kind}:[/] {escape(line)}", soft_wrap=True)
