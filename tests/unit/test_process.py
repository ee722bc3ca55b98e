"""The loop of a long-lived process."""

import asyncio
import signal
import subprocess
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


SIGNALLED = """
import asyncio, os, signal, threading, time
from waypost.system import process
start = threading.Thread.start
def slowly(thread):  # as on a busy machine: the new thread is further than the main thread
    start(thread)
    time.sleep(0.5)
threading.Thread.start = slowly
async def main(stop):
    os.kill(os.getpid(), signal.{signal})
    await asyncio.wait_for(stop.wait(), 5)
    print("stopped")
process.run_until_signalled(main)
"""


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_that_comes_as_it_begins_stops_it(number):
    code = SIGNALLED.format(signal=number)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr
