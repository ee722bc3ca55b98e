"""`make demo`: everything on one machine, some samples sent, and what became of them."""
