"""The ledger's loop: `python -m benchmarks.ledger [--only PART]... [--json FILE]`.

What kills and restarts do to it is counted by `make chaos`.
"""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main(
        "ledger",
        "The ledger's loop.",
        ("accepting", "recording", "flood", "steady_load", "million_rows", "retention", "simulator"),
    )
