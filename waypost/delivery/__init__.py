"""Sends one batch along its route."""
