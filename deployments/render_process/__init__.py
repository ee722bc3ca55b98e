"""A second process that renders, so that a worker uses two processors."""
