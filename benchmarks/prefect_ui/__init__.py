"""What it costs to show in Prefect what Waypost does."""
