"""A client of the gateway: `Client`, and `AsyncClient` which is the same with `await`.

Importing it loads neither Prefect nor a database driver.
"""

from waypost.client.async_client import AsyncClient
from waypost.client.errors import GatewayError, Refused, Unavailable
from waypost.client.send import Send
from waypost.client.sync_client import Client

__all__ = ["AsyncClient", "Client", "GatewayError", "Refused", "Send", "Unavailable"]
