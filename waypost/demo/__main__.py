"""The demo: runs `waypost up` in its own folder, then the commands that a user would type."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from uuid import UUID

from waypost.cli.output import out, show, table, titled
from waypost.config import instance
from waypost.config.settings import Settings
from waypost.ledger import ledger_of
from waypost.ledger.operations import search, stats
from waypost.model.states import State

SAMPLES = Path(__file__).parent
HOME = Path(".demo").resolve()
PATIENCE = 120.0
PORTS = {"--port": 4200, "--smtp-port": 2525, "--texts-port": 8025, "--gateway-port": 8080}


def main() -> None:
    """Run the demo. Exit status 0 only if everything accepted was sent."""
    keep = "--keep" in sys.argv[1:]
    _fresh_home()
    with _up() as process:
        here = _wait_until_up(process)
        _send("signup-verification", "signups.jsonl")
        _verify_from_mail(here)
        _send("order-confirmation", "orders.jsonl")
        _send("alert", "alerts.jsonl")
        _run("prefect", "deployment", "run", "digest/digest", shown="send the digest now, not at 8")
        totals, fallback = asyncio.run(_watch())
        if fallback:
            _run("waypost", "explain", str(fallback), shown="its mailbox was refused: an SMS went instead")
        accepted, sent, failed = _tell(here, totals)
        last_line = f"demo: {accepted} accepted, {sent} sent, {failed} failed"
        if keep or sys.stdin.isatty():
            _tell_where(here)
            print(last_line, flush=True)
            _keep(process, until_enter=not keep)
    if not (keep or sys.stdin.isatty()):
        print(last_line)
    sys.exit(0 if accepted == sent else 1)


def _fresh_home() -> None:
    os.environ["WAYPOST_HOME"] = str(HOME)
    os.environ.setdefault("DO_NOT_TRACK", "1")  # the prefect command too sends no telemetry
    for name in list(os.environ):
        if name.startswith("PREFECT_") or (name.startswith("WAYPOST_") and name != "WAYPOST_HOME"):
            del os.environ[name]  # the demo shows the embedded default, whatever is set here
    running = instance.find(HOME)
    if running is not None:
        sys.exit(f"demo: another demo (pid {running.pid}) is running in {HOME}; stop it first")
    shutil.rmtree(HOME, ignore_errors=True)


@contextmanager
def _up() -> Generator[subprocess.Popen[bytes]]:
    options = [f"{option}={port if _is_free(port) else 0}" for option, port in PORTS.items()]
    out.print(f"[bold]$ waypost up {' '.join(options)}[/]", soft_wrap=True)
    HOME.mkdir(parents=True)
    with (HOME / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "waypost", "up", *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the demo, which stops it in order
        )
    try:
        yield process
    finally:
        out.print("stopping ...")
        process.terminate()
        process.wait()


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _wait_until_up(process: subprocess.Popen[bytes]) -> instance.Instance:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        here = instance.find(HOME)
        if here is not None:
            out.print(f"up: Prefect UI at {here.ui}")
            os.environ["PREFECT_API_URL"] = here.api
            os.environ["PREFECT_HOME"] = str(HOME / "prefect")
            return here
        time.sleep(0.1)
    print((HOME / "up.log").read_text(), file=sys.stderr)
    sys.exit("demo: `waypost up` did not start; its output is above")


def _send(type: str, samples: str) -> None:
    _run("waypost", "send", type, "--from", str(SAMPLES / samples), shown="")


def _run(tool: str, *arguments: str, shown: str) -> None:
    comment = f"   # {shown}" if shown else ""
    line = " ".join((tool, *map(_short, arguments)))
    out.print(f"\n[bold]$ {line}[/]{comment}", soft_wrap=True)
    subprocess.run([sys.executable, "-m", tool, *arguments], check=False)


def _short(argument: str) -> str:
    path = Path(argument)
    inside = path.is_absolute() and path.is_relative_to(SAMPLES.parent.parent)
    return str(path.relative_to(SAMPLES.parent.parent)) if inside else argument


def _verify_from_mail(here: instance.Instance) -> None:
    """Read the code as its recipient would, and check it."""
    folder = here.mailbox.folder if here.mailbox else HOME
    for path in sorted(folder.glob("*.eml")):
        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        plain = mail.get_body(("plain",))
        code = re.search(r"\b\d{6}\b|\b\d{3} \d{3}\b", plain.get_content() if plain else "")
        if code:
            recipient = mail["To"].addresses[0].addr_spec
            _run("waypost", "verify", recipient, code.group(), shown="the code from the mail")


async def _watch() -> tuple[dict[str, Counter[State]], UUID | None]:
    """Wait until all has ended. Returns the ends by type, and a notification that took its fallback."""
    ledger = ledger_of(Settings())
    until = time.monotonic() + PATIENCE
    try:
        while await stats.open_count(ledger) and time.monotonic() < until:
            await asyncio.sleep(0.3)
        page = await search.find(ledger, search.Filter(provider="apprise"), limit=1)
        ids = [entry.id for entry in page.notifications if isinstance(entry.id, UUID)]
        return await stats.totals_by_type(ledger), ids[0] if ids else None
    finally:
        await ledger.close()


def _tell(here: instance.Instance, totals: dict[str, Counter[State]]) -> tuple[int, int, int]:
    folder = here.mailbox.folder if here.mailbox else HOME
    rows = [
        (
            type,
            states.total(),
            states[State.SENT],
            ", ".join(f"{n} {state}" for state, n in states.items() if state != State.SENT),
        )
        for type, states in sorted(totals.items())
    ]
    out.print()
    show(titled("What happened", table("type", "accepted", "sent", "otherwise", rows=rows)))
    texts = len(list(folder.glob("*.json")))
    mails = len(list(folder.glob("*.eml")))
    out.print(
        f"kept in     {folder}  ({mails} mails, {texts} SMS; waiting alerts share a digest)", soft_wrap=True
    )
    everything: Counter[State] = Counter()
    for states in totals.values():
        everything.update(states)
    accepted, sent = everything.total(), everything[State.SENT]
    return accepted, sent, accepted - sent


def _tell_where(here: instance.Instance) -> None:
    """The addresses that answer until the demo is stopped."""
    out.print(f"Prefect UI  {here.ui}/runs", soft_wrap=True)
    if here.mailbox:
        out.print(f"mails       {here.mailbox.page}", soft_wrap=True)


def _keep(process: subprocess.Popen[bytes], until_enter: bool) -> None:
    """Leave everything running until Ctrl-C, or until Enter is pressed."""
    stops = "Enter stops it" if until_enter else "Ctrl-C stops it"
    print(f"still running; {stops}. To look around, in another terminal here:", file=sys.stderr)
    for line in (". .venv/bin/activate", f"export WAYPOST_HOME={HOME}", "waypost list", "waypost doctor"):
        print(f"    {line}", file=sys.stderr)
    try:
        if until_enter:
            sys.stdin.readline()
        else:
            process.wait()
    except KeyboardInterrupt:
        print(file=sys.stderr)


def _on_sigterm(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("demo: stopped early")
