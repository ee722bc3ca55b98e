"""Fewer lines of Prefect's own in a run's log: the end of each step and of the run, which their states show
anyway, in red for every state but Completed."""

from __future__ import annotations

import logging

LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
ENGINES = ("flow_engine", "task_engine")  # the modules that log them; a type's own lines pass
LEFT_OUT = "Finished in state "


class _LeavesOut(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.module not in ENGINES or not str(record.msg).startswith(LEFT_OUT)


_FILTER = _LeavesOut()


def quiet_prefect() -> None:
    """Leave those lines out in this process."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
