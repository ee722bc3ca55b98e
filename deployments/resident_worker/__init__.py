"""The resident worker: a Prefect worker that runs flows in its own process."""
