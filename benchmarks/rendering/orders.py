"""Orders to mails, in the buyers' languages: this checkout, bare Jinja2, and a checkout of an earlier commit.

BENCH_BEFORE names the folder of the earlier checkout (`git worktree add ../before COMMIT`). Without it, only
bare Jinja2 is beside. Each side is a process of its own, in turn. The least time of each side counts: the
processor's, for rendering and building, without sending. A worker loads the templates once;
that time is printed apart. Bare Jinja2 renders the same three texts, without a sandbox,
strict values, headers or encoding.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.checkouts import BEFORE, HERE, checkouts, settings_of
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.processes import ROOT
from benchmarks.harness.progress import say

ROUNDS = 7
OURS = """
import tempfile, time
from pathlib import Path
from benchmarks.harness import sample_orders
sample_orders.COUNT = 5 * 830
def took(count):
    began = time.process_time()
    assert all(one.messages for one in sample_orders.rendered(Path(home), count))
    return time.process_time() - began
with tempfile.TemporaryDirectory() as home:
    took(830)
    once = took(830)
    each = (took(5 * 830) - once) / (4 * 830)
    print(each, once - 830 * each)
"""
BARE = """
import time
import jinja2
from waypost.config.settings import Settings
from waypost.flows.order_confirmation import TYPE
from waypost.rendering import filters
from waypost.rendering.template_set import html_of
from waypost.rendering.live_templates import Templates
from benchmarks.harness import sample_orders
templates = Templates(Settings().template_folders)
parts = templates.parts(TYPE.name, "en")
sources = [parts["subject.txt"].text, parts["body.txt"].text, html_of(templates.files, parts["body.mjml"])]
bare = jinja2.Environment(autoescape=True, extensions=["jinja2.ext.i18n"])
bare.install_null_translations(newstyle=True)
bare.filters.update(filters.FILTERS)
made = [bare.from_string(source) for source in sources]
brand = {"name": "", "logo": "", "accent": "", "accent_dark": "", "postal_address": (), "footer": ()}
links = {"unsubscribe": "", "preferences": ""}
sender = {"name": "Shop", "signature": "", "support": ""}
contexts = []
for request in sample_orders.requests("-"):
    person = {"name": "", "timezone": "UTC", **request["recipient"]}
    facts = TYPE.facts.model_validate(request["data"]).model_dump()
    more = {"lang": "en", "direction": "ltr", "count": 1, "subject": "", "brand": brand, "sender": sender}
    contexts.append({**facts, **more, "recipient": person, "links": links})
for _ in range(2):
    began = time.process_time()
    for context in contexts:
        for template in made:
            template.render(context)
    took = time.process_time() - began
print(took / len(contexts), 0.0)
"""


async def measure() -> Measured:
    """The least time of each side, and the ratios."""
    sides = {name: (folder, OURS) for name, folder in checkouts().items()} | {"bare Jinja2": (ROOT, BARE)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    loads: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS):
        for name, (folder, program) in sides.items():
            each, once = _seconds(folder, program)
            seconds[name].append(each)
            loads[name].append(once)
        say(
            f"{number + 1}/{ROUNDS}  "
            + "  ".join(f"{name} {seconds[name][-1] * 1e3:.3f} ms" for name in sides)
        )
    least = {name: min(found) for name, found in seconds.items()}
    for name, found in least.items():
        loading = f"; loading the templates {min(loads[name]) * 1e3:.0f} ms" if min(loads[name]) > 0 else ""
        print(f"  {name:<16}{found * 1e3:8.3f} ms an order{loading}")
    bars = [Bar("order_beside_bare_jinja", least[HERE] / least["bare Jinja2"], "<", 3)]
    if BEFORE in sides:
        # 1 % is what two runs of the same commit differ by.
        bars.append(Bar("order_beside_before", least[HERE] / least[BEFORE], "<", 1.01))
    return Measured(bars=bars, figures={"seconds": seconds, "loading": loads})


def _seconds(folder: Path, program: str) -> tuple[float, float]:
    """The two numbers that a program prints which runs in a checkout. Raises NotMeasured."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, **settings_of(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotMeasured(f"{folder}: {done.stderr.strip().splitlines()[-1:]}")
    each, once = done.stdout.split()
    return float(each), float(once)
