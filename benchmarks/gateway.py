"""The gateway: `python -m benchmarks.gateway [--only PART]... [--json FILE]`."""

from benchmarks.program import main

if __name__ == "__main__":
    main("gateway", "The gateway.", ("posting", "lists", "journey"))
