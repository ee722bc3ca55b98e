"""The process that renders for a worker is killed while it works."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from chaos.installation import installation
from chaos.servers import mail_sink
from support.requests import order

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor has no second process"),
]
PART, KILLS = 500, 2


def test_killed_again_and_again_each_notification_goes_out_once(prefect, cluster, tmp_path):
    with (
        mail_sink(tmp_path) as sink,
        installation(
            tmp_path / "home",
            prefect,
            sink,
            cluster.database(),
            settings={"PREFECT_LOGGING_ROOT_LEVEL": "INFO"},
        ) as site,
    ):
        worker = site.worker().ready()
        parts = count()
        killed: set[int] = set()
        deadline = time.monotonic() + 120
        while len(killed) < KILLS and time.monotonic() < deadline:
            waiting = sum(site.states().get(state, 0) for state in ("accepted", "claimed"))
            if waiting < 2 * PART:
                part = next(parts)
                site.accept("order-confirmation", [order(f"r{part}-{n}") for n in range(PART)])
            for pid in rendering_for(worker.process.pid) - killed:
                if f"rendered in process {pid}" in worker.log.read_text():
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
        accepted = sum(site.states().values())
        assert len(killed) == KILLS, worker.log.read_text()
        assert site.until_ended() == {"sent": accepted}
        assert sorted(sink.copies().values()) == [1] * accepted
        assert worker.process.poll() is None


def rendering_for(worker: int) -> set[int]:
    """The processes that render for a worker."""
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if (
                parent == worker
                and b"waypost.deployments.render_process" in (folder / "cmdline").read_bytes()
            ):
                found.add(int(folder.name))
    return found
