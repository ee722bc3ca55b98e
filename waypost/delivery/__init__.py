"""One batch is sent along its route."""
