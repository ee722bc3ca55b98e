"""Events are posted to the webhooks of clients."""
