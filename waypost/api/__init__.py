"""The HTTP API as data, shared by gateway and client."""
