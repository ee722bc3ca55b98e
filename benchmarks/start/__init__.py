"""How long it takes until something is there."""
