"""What Prefect's side of Waypost costs: `python -m benchmarks.prefect_ui [--only PART]... [--json FILE]`."""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main("prefect_ui", "What Prefect's side of Waypost costs.", ("reports", "ratio"))
