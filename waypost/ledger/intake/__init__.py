"""Requests are accepted, each exactly once."""
