"""The links that recipients use, and what their use does."""
