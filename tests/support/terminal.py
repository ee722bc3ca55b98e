"""A command on a terminal of a given width, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from support.forks import Forked
from support.processes import command, environment

_SGR = re.compile(r"\x1b\[[0-9;]*m")


def on_terminal(home: Path, width: int, *arguments: str, **more: str) -> str:
    """The standard output of `waypost ...`, with the codes of its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    variables = {**environment(home, **more), "TERM": "xterm-256color"}
    for name in {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"} - more.keys():
        variables.pop(name, None)
    process = Forked(
        command(*arguments), env=variables, cwd=home.parent, stdout=theirs, stdin=subprocess.DEVNULL
    )
    os.close(theirs)
    seen = b""
    while chunk := _read(ours):
        seen += chunk
    os.close(ours)
    process.wait(60)
    return seen.decode().replace("\r\n", "\n")


def uncoloured(text: str) -> str:
    return _SGR.sub("", text)


def _read(terminal: int) -> bytes:
    """What the process has written; nothing once it has ended, which Linux reports as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
