"""Delivery measured: building, signing, sending."""
