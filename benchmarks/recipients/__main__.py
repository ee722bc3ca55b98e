"""What recipients chose: `python -m benchmarks.recipients [--only PART]... [--json FILE]`."""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main(
        "recipients",
        "What recipients chose, among a million of them.",
        ("lookup", "unsubscribe", "importing"),
    )
