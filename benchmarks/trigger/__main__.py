"""How fast a trigger becomes mail: `python -m benchmarks.trigger [--only PART]... [--json FILE]`."""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main("trigger", "From a trigger to the mail.", ("latency", "burst", "orders", "task_overhead"))
