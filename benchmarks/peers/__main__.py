"""The peers: `python -m benchmarks.peers [--only PART]... [--json FILE]`."""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main(
        "peers",
        "From the first post to the last mail, beside what teams use instead.",
        ("road", "kill", "processors"),
    )
