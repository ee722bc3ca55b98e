"""`make demo`: runs everything on one machine, sends samples, and shows the result."""
