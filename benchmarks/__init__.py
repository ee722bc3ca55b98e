"""Side-by-side measurements: Waypost beside stock Prefect and beside the bare wire, on one machine."""
