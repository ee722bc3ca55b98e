"""How often Prefect's client repeats a request that fails.

Prefect's own `temporary_settings` reads all settings again, from files and the environment. That takes as
long as the request, and was half of what an idle worker did. Here each set of settings is made once.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from prefect.context import SettingsContext, get_settings_context
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, Settings

_made: dict[tuple[int, int], tuple[Settings, Settings]] = {}  # by the id of the first, which lives as long


@contextmanager
def client_retries(count: int) -> Generator[None]:
    """For the length of the block, Prefect's client repeats a request at most `count` times."""
    now = get_settings_context()
    if now.settings.client.max_retries == count:
        yield
        return
    with SettingsContext(profile=now.profile, settings=_with_retries(now.settings, count)):
        yield


def _with_retries(settings: Settings, count: int) -> Settings:
    key = id(settings), count
    if key not in _made:
        _made[key] = settings, settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: count})
    return _made[key][1]
