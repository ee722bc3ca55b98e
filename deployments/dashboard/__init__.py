"""The dashboard: artifacts in Prefect that say what fails, since when, why, and what to do."""
