"""Pure decisions over values: a decision is returned, never raised."""
