"""Reads HTTP requests and builds responses."""
