"""Connections to other hosts, made safely."""
