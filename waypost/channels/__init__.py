"""Channels: one contract (open, send, close) for every kind of provider."""
