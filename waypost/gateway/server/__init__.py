"""The application, and the server under it."""
