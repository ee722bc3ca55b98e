"""The gateway: `python -m benchmarks.gateway [--only PART]... [--json FILE]`."""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main("gateway", "The gateway.", ("http_intake", "lists", "post_to_smtp"))
