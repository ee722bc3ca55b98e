"""Providers as a flow meets them: blocks, circuit events and rate limits."""
