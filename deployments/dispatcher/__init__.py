"""The dispatcher: due notifications become Prefect runs."""
