"""The processes that commands start: worker, gateway and everything at once."""
