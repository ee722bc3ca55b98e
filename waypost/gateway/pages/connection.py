"""The limits of a connection from the internet, where nobody has a key."""

from __future__ import annotations

from waypost.gateway.server.connection import Connection


class PublicConnection(Connection):
    """A browser or a mail provider sends a small form at once. Beyond the limit, new connections are closed,
    and the connections of the API are left alone."""

    longest = 16 * 1024
    request_seconds = 15.0
    answer_seconds = 15.0
    kept_open = 10

    @staticmethod
    def most() -> int:
        """How many connections may be open."""
        return 500
