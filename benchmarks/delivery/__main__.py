"""Building, signing and sending: `python -m benchmarks.delivery [--only PART]... [--json FILE]`."""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main(
        "delivery",
        "From words to the wire.",
        ("mime_building", "dkim_signing", "connection_pool", "end_to_end", "codes_during_bulk", "memory"),
    )
