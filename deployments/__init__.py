"""How flows reach a Prefect server, and the process that runs them."""
