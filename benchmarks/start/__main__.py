"""How long starts take: `python -m benchmarks.start [--only PART]... [--json FILE]`."""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main("start", "How long starts take.", ("up", "commands"))
