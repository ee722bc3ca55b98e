"""What a person waits for: `waypost init`, `waypost new`, `waypost up` and `waypost send`, until the mail of
the new type is in the development mailbox; and `waypost templates diff` over a thousand orders."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path

from benchmarks.harness import sample_ledgers, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.processes import ROOT, environment, python, running
from benchmarks.start.up import IS_UP, PORTS, WITHIN

COMPARED = 1000
TO = "ada@buyer.example"


async def measure() -> Measured:
    """The seconds of each."""
    with servers.new_home() as home:
        mail = await _new_type(home)
    with servers.new_home() as home:
        diff = await _diff(home)
    print(f"  from an empty folder to the mail of a new type, four commands: {mail:.1f} s")
    print(f"  templates diff of {COMPARED:,} orders: {diff:.1f} s")
    bars = [Bar("new_type_to_mail_s", mail, "<", 20), Bar("diff_of_1000_s", diff, "<", 5)]
    return Measured(bars, {"new_type_to_mail_s": mail, "diff_s": diff})


async def _new_type(home: Path) -> float:
    """The four commands, without what a person types: `up` is waited for."""
    shop, log = home / "shop", home / "up.log"
    env = environment(shop / ".waypost", PYTHONPATH=str(ROOT))
    began = time.monotonic()
    _run(home, env, "init", "shop")
    _run(shop, env, "new", "seat-reserved")
    with running(python("waypost", "up", *PORTS), env, log, cwd=shop) as process:
        while IS_UP not in log.read_bytes():
            if process.poll() is not None or time.monotonic() - began > WITHIN:
                raise NotMeasured(f"waypost up did not start:\n{log.read_text()[-2000:]}")
            await asyncio.sleep(0.02)
        _run(shop, env, "send", "seat-reserved", "--sample", "--to", TO)
        took = time.monotonic() - began
    mails = (path for path in (shop / ".waypost" / "mail").rglob("*") if path.is_file())
    if not any(TO.encode() in path.read_bytes() for path in mails):
        raise NotMeasured(f"no mail to {TO} is in the development mailbox")
    return took


async def _diff(home: Path) -> float:
    """Two folders that differ in a subject."""
    async with sample_ledgers.opened(f"sqlite+aiosqlite:///{home / 'ledger.db'}") as ledger:
        await sample_ledgers.fill(ledger, sample_ledgers.lines(), COMPARED)
    other = home / "templates"
    shutil.copytree(ROOT / "templates", other)
    subject = other / "order-confirmation" / "subject.txt"
    subject.write_text(f"{subject.read_text('utf-8').strip()}!\n", "utf-8")
    began = time.monotonic()
    command = ("templates", "diff", str(ROOT / "templates"), str(other), "--last", str(COMPARED))
    _run(ROOT, environment(home), *command)
    return time.monotonic() - began


def _run(folder: Path, env: dict[str, str], *command: str) -> None:
    """Raises NotMeasured if the command fails."""
    done = subprocess.run(
        python("waypost", *command), cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotMeasured(f"waypost {' '.join(command)}: {(done.stderr or done.stdout)[-1000:]}")
