"""The ledger's loop: `python -m benchmarks.ledger [--only PART]... [--json FILE]`.

`make chaos` measures the effects of kills and restarts.
"""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main(
        "ledger",
        "The ledger's loop.",
        ("loop", "flood", "steady_load", "million_rows", "retention", "simulator"),
    )
