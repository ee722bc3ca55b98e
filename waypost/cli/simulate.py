"""`waypost simulate`: the ledger's loop under thousands of faults, in virtual time."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from waypost.cli.interrupted import told_if_interrupted
from waypost.cli.output import AsJson, complain, err, out, print_json, show, table, titled
from waypost.cli.progress import bars

if TYPE_CHECKING:
    from waypost.deployments.simulation.result import SimulationResult
    from waypost.deployments.simulation.runner import Totals

BAD_SHOWN = 10


def simulate(
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Number of seeds to run.")] = 1000,
    first: Annotated[int, typer.Option("--from", min=0, metavar="SEED", help="First seed to run.")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="Replay only this seed, step by step.")] = None,
    at_step: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --seed: kill a process at this step; no other faults."),
    ] = None,
    every_step: Annotated[
        bool, typer.Option("--every-step", help="With --seed: kill a process at each step in turn.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processors to use. Default: all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test the ledger under faults, in virtual time.

    The real dispatcher, reaper, ledger and steps run with scripted providers, a scripted Prefect, and
    processes that are killed at any await. The command counts notifications that are lost, late, or sent
    twice without a cause.

    Exit status 0 only when there are none. A seed gives the same faults every time: replay it with --seed.
    """
    _check(seed, at_step, every_step)
    from waypost.deployments.simulation import runner

    if seed is not None and not every_step:
        _tell_one(runner.replay(seed, at_step), as_json)
        return
    count = jobs or runner.processors()
    with told_if_interrupted(lambda: "interrupted before all seeds were tried"), bars() as progress:
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
        raise typer.BadParameter("--at-step and --every-step need --seed")
    if at_step is not None and every_step:
        raise typer.BadParameter("use --at-step or --every-step, not both")


def _tell_one(result: SimulationResult, as_json: bool) -> None:
    if as_json:
        print_json(asdict(result))
    else:
        out.print("\n".join(escape(line) for line in result.trace), soft_wrap=True)
        show(titled(f"Seed {result.seed}", table("measure", "value", rows=_rows(asdict(result)))))
        _tell_troubles(result)
    if not result.good:
        raise typer.Exit(1)


def _tell_all(totals: Totals, as_json: bool) -> None:
    if as_json:
        print_json(asdict(totals))
    else:
        show(titled("Simulation", table("measure", "value", rows=_rows(asdict(totals)))))
        for result in totals.bad[:BAD_SHOWN]:
            _tell_troubles(result)
    if totals.bad:
        complain(
            f"{len(totals.bad)} seeds failed; replay one with `waypost simulate --seed {totals.bad[0].seed}`"
        )
        raise typer.Exit(1)


def _rows(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, round(value, 1)) for name, value in values.items() if isinstance(value, (int, float))]


def _tell_troubles(result: SimulationResult) -> None:
    for kind in ("lost", "unexplained", "late", "illegal"):
        for line in getattr(result, kind):
            err.print(f"[red]seed {result.seed}: {kind}:[/] {escape(line)}", soft_wrap=True)
