"""Triggering measured, beside stock Prefect."""
