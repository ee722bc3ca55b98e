"""The front door: HTTP for applications, and what it answers them."""
