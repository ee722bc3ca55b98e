"""The five steps of every flow, as Prefect tasks over one opaque Batch."""

from tasks.collect import collect
from tasks.deliver import deliver
from tasks.fallback import fallback
from tasks.lookup import lookup
from tasks.render import render
from tasks.report import report

__all__ = ["collect", "deliver", "fallback", "lookup", "render", "report"]
