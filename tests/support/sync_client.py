"""Derives `waypost/client/sync_client.py` from `async_client.py`, so that their methods are written once.

`python -m support.sync_client`, with tests/ on the path, writes the file; a test compares the two.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[2] / "waypost" / "client"
ASYNC, SYNC = CLIENT / "async_client.py", CLIENT / "sync_client.py"
HEAD = '"""The synchronous client, which `make client` derives from async_client.py."""'
CHANGES = (
    (r'\A"""[^"]*"""', HEAD),
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bAsync(Client|Iterator)\b", r"\1"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"for one in (.*):\n *yield one\b", r"yield from \1"),
    (r"\bTasks may share\b", "Threads may share"),
)


def derived(source: str) -> str:
    """The synchronous form of an asynchronous module, formatted."""
    for pattern, replacement in CHANGES:
        source = re.sub(pattern, replacement, source)
    for options in (("check", "--fix-only", "--quiet", "--select", "I"), ("format", "--quiet")):
        ruff = [sys.executable, "-m", "ruff", *options, "--stdin-filename", str(SYNC), "-"]
        source = subprocess.run(ruff, input=source, capture_output=True, text=True, check=True).stdout
    return source


if __name__ == "__main__":
    SYNC.write_text(derived(ASYNC.read_text()))
