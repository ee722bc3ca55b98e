"""The clock, ids, tasks and processes."""
