"""From words to the wire: `python -m benchmarks.delivery [--only PART]... [--json FILE]`."""

from benchmarks.program import main

if __name__ == "__main__":
    main("delivery", "From words to the wire.", ("building", "signing", "pool", "road", "codes", "memory"))
