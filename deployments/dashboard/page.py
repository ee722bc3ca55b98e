"""The dashboard as markdown: what is wrong, then the numbers. Pure.

Its description, shown above it, says in a line whether all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from waypost.deployments.dashboard.situation import ProviderLine, Situation
from waypost.deployments.dashboard.traffic import DAY, HOUR, Flow
from waypost.deployments.dashboard.troubles import Trouble, failures_link, number, troubles
from waypost.ledger.operations.overview import Waiting
from waypost.system.moments import in_utc
from waypost.tasks.markdown import as_code
from waypost.tasks.run_table_cells import run_link

SLOWED_SHOWN = 3
WELL = "All is well"


def headline(found: Sequence[Trouble], now: datetime) -> str:
    """One line: all is well, or the worst trouble and how many there are."""
    wrong = [one for one in found if not one.note]
    if not wrong:
        return (
            f"{WELL}: nothing fails, and nothing due waits."
            if not found
            else f"{WELL}. Deferred mail goes on."
        )
    first = wrong[0]
    since = f" since {in_utc(first.since, now)}" if first.since else ""
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"{first.what}{since}{more}"


def page(seen: Situation) -> tuple[str, str]:
    """The artifact's markdown without the time, and its description."""
    found = troubles(seen)
    parts = [
        *_told(found, seen.now),
        *_waiting(seen),
        *_traffic("Last hour", seen.hour, ""),
        *_traffic("Last day", seen.day, _counted(seen)),
        *_providers(seen),
        *_held(seen),
    ]
    return "\n\n".join(parts), headline(found, seen.now)


def written(now: datetime) -> str:
    """The last line of the artifact."""
    return f"\n\nWritten at {now:%Y-%m-%d %H:%M:%S} UTC. All times are UTC.\n"


def _told(found: Sequence[Trouble], now: datetime) -> Iterable[str]:
    lines = [
        f"- **{one.what}**{f' since {in_utc(one.since, now)}' if one.since else ''}: {one.why}. {one.do}"
        for one in found
    ]
    if lines:
        yield "\n".join(lines)


def _waiting(seen: Situation) -> Iterable[str]:
    types = sorted({*seen.waiting, *seen.last_runs, *(type for type, some in seen.failures.items() if some)})
    if not types:
        return
    rows = [
        (
            type,
            number(of.count),
            _short(since, seen.now),
            number(of.in_hand) if of.in_hand else "",
            number(of.deferred) if of.deferred else "",
            _short(of.next_try, seen.now),
            _failed(seen, type),
            _last_run(seen, type),
        )
        for type in types
        for of in [seen.waiting.get(type, Waiting())]
        for since in [of.since(seen.now)]
    ]
    yield "### Now"
    titles = (
        "Type",
        "Waiting",
        "Oldest since",
        "In a run",
        "Deferred",
        "Next try",
        "To deal with",
        "Last run",
    )
    yield _table(titles, rows, left=("Type", "Oldest since", "Next try", "To deal with", "Last run"))


def _failed(seen: Situation, type: str) -> str:
    count = len(seen.failures.get(type, ()))
    return failures_link(seen, type, f"{count} failed") if count else ""


def _last_run(seen: Situation, type: str) -> str:
    run = seen.last_runs.get(type)
    if run is None:
        return ""
    return f"{run_link(run.flow_run_id, _short(run.at, seen.now))} {as_code(run.summary[:60])}".strip()


def _traffic(title: str, flows: Mapping[str, Flow], remark: str) -> Iterable[str]:
    rows = [
        (type, *(f"{count:,}" for count in counts), _seconds(flow.p50), _seconds(flow.p95))
        for type, flow in sorted(flows.items())
        for counts in [(flow.accepted, flow.sent, flow.failed, flow.expired)]
        if not flow.is_empty
    ]
    yield f"### {title}"
    if not rows:
        yield f"No notification was accepted or ended. {remark}".strip()
        return
    titles = ("Type", "Accepted", "Sent", "Failed", "Expired", "Half within", "95 % within")
    yield _table(titles, rows, left=("Type",)) + (f"\n\n{remark}" if remark else "")


def _counted(seen: Situation) -> str:
    timed = any(flow.p50 is not None for flow in seen.day.values())
    sampled = "The times are of a sample, from due to taken by the provider." if timed else ""
    if seen.counted_from > seen.now - DAY + HOUR / 30:
        return f"Counted from {in_utc(seen.counted_from, seen.now)} on; the rest follows. {sampled}".strip()
    return sampled


def _providers(seen: Situation) -> Iterable[str]:
    if not seen.providers:
        return
    yield "### Providers"
    rows = [(one.name, one.kind, _circuit(seen, one.name), _pace(one)) for one in seen.providers]
    yield _table(("Provider", "Kind", "Circuit", "Pace"), rows, left=("Provider", "Kind", "Circuit", "Pace"))


def _circuit(seen: Situation, provider: str) -> str:
    theirs = [one for one in seen.circuits if one.provider == provider]
    if not theirs:
        return "closed"
    since = in_utc(min(one.since for one in theirs), seen.now)
    clients = sorted({one.client for one in theirs if one.client})
    if clients and all(one.client for one in theirs):
        return f"open for {', '.join(map(as_code, clients))} since {since}"
    return f"**open** since {since}"


def _pace(one: ProviderLine) -> str:
    words = [f"at most {one.rate:g} a second" if one.rate else "as fast as it takes mail"]
    slowest = sorted(one.slowed.items(), key=lambda slow: -slow[1])
    words += [f"{as_code(domain)} every {seconds:.2g} s" for domain, seconds in slowest[:SLOWED_SHOWN]]
    if len(slowest) > SLOWED_SHOWN:
        words.append(f"{len(slowest) - SLOWED_SHOWN} more domains slowed")
    return "; ".join(words)


def _held(seen: Situation) -> Iterable[str]:
    rows = [(f"type {hold.type}", f"`waypost release {hold.type}`") for hold in seen.held]
    rows += [
        (what, do) for what, _, do in (why.partition("; ") for why in dict.fromkeys(seen.stopped.values()))
    ]
    if rows:
        yield "### Held and paused"
        yield _table(("What", "How to release it"), rows, left=("What", "How to release it"))


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str]) -> str:
    """Without the columns that are empty."""
    rows = list(rows)
    used = [at for at in range(len(titles)) if any(row[at] for row in rows)]
    lines = [titles, [":---" if title in left else "---:" for title in titles], *rows]
    return "\n".join(f"| {' | '.join(line[at] for at in used)} |" for line in lines)


def _short(moment: datetime | None, now: datetime) -> str:
    return in_utc(moment, now).removesuffix(" UTC") if moment else ""


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"
