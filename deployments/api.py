"""The Prefect API that commands speak to."""

from __future__ import annotations

from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import get_current_settings

WHERE_UP_WOULD_BE = "http://127.0.0.1:4200/api"


def prefect_client() -> PrefectClient:
    """Prefect's client for the API its settings name, or else for where `waypost up` would be:
    left to itself it starts a temporary server, on which nothing is deployed."""
    if get_current_settings().api.url:
        return get_client()
    return PrefectClient(WHERE_UP_WOULD_BE)
