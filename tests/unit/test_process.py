"""The loop of a long-lived process."""

import asyncio
import signal
import sys

import pytest

from waypost.system import process


@pytest.mark.parametrize("missing", [False, True])
def test_a_process_runs_on_uvloop_or_without_it(monkeypatch, missing):
    if missing:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    loops = []

    async def body():
        loops.append(type(asyncio.get_running_loop()).__module__)

    process._new_loop_run(body())
    assert loops[0].startswith("asyncio" if missing else "uvloop")


async def ends(_stop):
    """As a task does that ends the loop."""


async def exits(_stop):
    raise SystemExit(0)


@pytest.mark.parametrize(("main", "why"), [(ends, "see the log"), (exits, "sys.exit was called at")])
def test_an_end_that_nobody_asked_for_is_an_error(monkeypatch, main, why):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(process.EndedByItself, match=why):
        process.run_until_signalled(main)
