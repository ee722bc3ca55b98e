"""The gateway measured."""
