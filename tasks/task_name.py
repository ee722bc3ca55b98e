"""Names of steps that say what they did, as Prefect's graph shows them."""

from __future__ import annotations

from prefect.context import TaskRunContext


def name_step(name: str) -> None:
    """Name the present step. Prefect learns of it with the step's next state, so it costs no request: its
    own way names a task before it runs, and renaming it later is a request for each step."""
    if context := TaskRunContext.get():
        context.task_run.name = name
