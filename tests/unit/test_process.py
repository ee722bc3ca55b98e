"""The loop of a long-lived process."""

import asyncio
import sys

import pytest

from waypost import process


@pytest.mark.parametrize("missing", [False, True])
def test_a_process_runs_on_uvloop_or_without_it(monkeypatch, missing):
    if missing:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    loops = []

    async def body():
        loops.append(type(asyncio.get_running_loop()).__module__)

    process._new_loop_run(body())
    assert loops[0].startswith("asyncio" if missing else "uvloop")
