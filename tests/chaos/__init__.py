"""Campaigns that break things on purpose, for the tests and for `make chaos`."""
