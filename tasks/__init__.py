"""The five steps of every flow, as Prefect tasks over one opaque Batch."""

from waypost.tasks.collect import collect
from waypost.tasks.deliver import deliver
from waypost.tasks.due import due
from waypost.tasks.fallback import fallback
from waypost.tasks.lookup import lookup
from waypost.tasks.render import render
from waypost.tasks.report import report

__all__ = ["collect", "deliver", "due", "fallback", "lookup", "render", "report"]
