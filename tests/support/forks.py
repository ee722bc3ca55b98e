"""Processes forked from a process that has imported Prefect and Waypost: they start without the imports.

`Forked([sys.executable, "-m", module, ...])` is a `Popen`. On systems other than Linux, and with another
interpreter or PYTHONPATH, it starts an interpreter. What a process reads of its environment at an import, a
forked process reads when it begins.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
BE_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: a process whose parent has ended becomes our child
LARGEST = 1 << 17  # bytes of a request
_asking = threading.Lock()


class Forked(subprocess.Popen):
    """`Popen` of a module. The command is `[sys.executable, "-m", module, *arguments]`."""

    def _execute_child(self, command: Any, *rest: Any) -> None:
        _, _, _, _, folder, environment, _, _, _, *ends = rest
        known = dict(os.environ if environment is None else environment)
        elsewhere = command[0] != sys.executable or known.get("PYTHONPATH") != os.environ.get("PYTHONPATH")
        if sys.platform != "linux" or elsewhere:
            super()._execute_child(command, *rest)  # modules of its own are not those that are imported
            return
        assert command[:2] == [sys.executable, "-m"], command
        theirs = [end if end != -1 else standard for standard, end in enumerate((ends[0], ends[3], ends[5]))]
        asked = {"command": command[2:], "folder": str(folder or Path.cwd()), "environment": known}
        self.pid = _ask(asked, theirs)
        self._child_created = True
        self._close_pipe_fds(*ends[:6])


def run(command: list[str], timeout: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a module to its end, as `subprocess.run` does. Returns its output as text."""
    with Forked(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _ask(request: dict[str, Any], ends: list[int]) -> int:
    """Have a process forked that has these standard streams. Returns its id."""
    with _asking:  # else a thread could read the answer to another
        to = _server()
        socket.send_fds(to, [json.dumps(request).encode()], ends)
        return int(to.recv(100))


@cache
def _server() -> socket.socket:
    """The process from which others are forked. It ends with this process."""
    ctypes.CDLL(None, use_errno=True).prctl(BE_SUBREAPER, 1)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine = {name: text for name, text in os.environ.items() if not name.startswith(("WAYPOST_", "PREFECT_"))}
    server = subprocess.Popen(
        [sys.executable, "-m", "support.forks", str(theirs.fileno())],
        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=HERE, env=mine,
    )  # fmt: skip
    theirs.close()

    def end() -> None:
        ours.close()
        server.wait(10)

    atexit.register(end)
    return ours


def _serve(asked: socket.socket) -> dict[str, Any]:
    """Fork until the other end is closed; returns only in a forked process, with what it is to do."""
    while True:
        text, ends, _, _ = socket.recv_fds(asked, LARGEST, 3)
        if not text:
            os._exit(0)
        pid, request = _forked(), json.loads(text)
        if not pid:
            asked.close()
            for standard, end in enumerate(ends):
                os.dup2(end, standard)
        for end in ends:
            os.close(end)
        if not pid:
            return request
        asked.send(str(pid).encode())


def _forked() -> int:
    """Fork a process that is no child of this one: 0 in it, its id in this process."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        os.close(reading)
        if (pid := os.fork()) == 0:
            os.close(writing)
            return 0
        os.write(writing, str(pid).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(between, 0)  # its parent has ended now: it has been adopted
    pid = int(os.read(reading, 100))
    os.close(reading)
    return pid


def _become(request: dict[str, Any]) -> None:
    """Run the module in this process as `python -m` does."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    module, *arguments = request["command"]
    sys.argv[1:] = arguments
    sys.path[0] = request["folder"]
    _read_settings_later()
    with suppress(KeyError):
        if module != "waypost":
            del sys.modules[module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _read_settings_later() -> None:
    """Let Prefect read the environment when it first looks at a setting, in the place of its import."""
    from prefect import context
    from prefect.logging.configuration import setup_logging

    class Unread:
        def __getattr__(self, name: str) -> Any:
            context.GLOBAL_SETTINGS_CONTEXT = None  # as during an import
            context.refresh_global_settings_context()
            setup_logging(incremental=False)
            return getattr(context.GLOBAL_SETTINGS_CONTEXT, name)

    context.GLOBAL_SETTINGS_CONTEXT = Unread()


def _import_all() -> None:
    """Import what takes long, and is the same in each process."""

    import waypost.deployments.dispatcher
    import waypost.deployments.processes.worker
    import waypost.deployments.simulation.scenario
    import waypost.gateway.server.app  # noqa: F401
    from waypost import flows

    for found in pkgutil.iter_modules(flows.__path__):
        importlib.import_module(f"{flows.__name__}.{found.name}")
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _import_all()
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
