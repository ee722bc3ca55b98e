"""The pages on which recipients unsubscribe and choose, without an API key."""
