"""Templates and facts become messages."""
