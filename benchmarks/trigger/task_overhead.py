"""What Prefect costs a run of 500 rendered orders: a flow of five tasks that do nothing.

Run in one process against the embedded server (noop_flow.py); the seconds are those of the whole
flow, including its creation and states on the server. The same is measured with a plain list, which
Prefect walks item by item.
"""

from __future__ import annotations

import json

from benchmarks.harness import servers
from benchmarks.harness.figures import Bar, Measured, Spread
from benchmarks.harness.processes import environment, python, run_to_end
from benchmarks.harness.progress import say


async def measure() -> Measured:
    """The median of five runs after a warm-up."""
    say("overhead: starting the embedded Prefect server")
    with servers.new_home() as home:
        async with servers.server_alone(home) as api:
            say("six flows of five tasks with a Batch of 500, six with a list of 500")
            env = environment(home, PREFECT_API_URL=api)
            seconds = json.loads(await run_to_end(python("benchmarks.trigger.noop_flow", str(home)), env))
    batch, plain = Spread.of(seconds["batch"]), Spread.of(seconds["list"])
    print("flow of five no-op tasks over 500 rendered orders, Prefect alone")
    print(f"  in a Batch       {batch}")
    print(f"  in a plain list  {plain}   list / Batch {plain.p50 / batch.p50:.1f}")
    return Measured(bars=[Bar("batch500_prefect_s", batch.p50, "<", 0.5)], figures=seconds)
