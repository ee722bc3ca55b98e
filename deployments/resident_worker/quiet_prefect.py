"""Fewer lines of Prefect's own in a run's log.

The states show the end of each step and of the run anyway, in red for every state but Completed. An error of
ours names its place, so it needs no traceback of Prefect.
"""

from __future__ import annotations

import logging

from waypost.tasks.safe_error import SafeError

LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
ENGINES = ("flow_engine", "task_engine")  # the modules that log them; a type's own lines pass
LEFT_OUT = "Finished in state "


class _LeavesOut(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.module not in ENGINES:
            return True
        if record.exc_info and isinstance(record.exc_info[1], SafeError):
            record.exc_info = None
        return not str(record.msg).startswith(LEFT_OUT)


_FILTER = _LeavesOut()


def quiet_prefect() -> None:
    """Leave those lines out in this process."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
