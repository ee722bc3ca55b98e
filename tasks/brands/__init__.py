"""Brands in Prefect: their blocks."""
