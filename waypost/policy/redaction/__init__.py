"""Removes secrets and addresses from what a provider says, which may repeat a message. Pure."""
