"""Requests are read and responses are written."""
