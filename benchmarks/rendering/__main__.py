"""What rendering costs: `python -m benchmarks.rendering [--only PART]... [--json FILE]`."""

from benchmarks.harness.program import main

if __name__ == "__main__":
    main("rendering", "What rendering costs.", ("orders", "mails", "commands"))
