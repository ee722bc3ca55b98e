"""Providers in Prefect: blocks, circuit events and rate limits."""
