"""Renders templates and facts to messages."""
