"""How often Prefect's client repeats a request: a setting for the length of a block, made once."""

import time

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    get_current_settings,
    temporary_settings,
)

from waypost.tasks.client_retries import client_retries


def test_it_holds_for_the_block_alone_and_keeps_all_other_settings():
    before = PREFECT_CLIENT_MAX_RETRIES.value()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with client_retries(2):
            assert PREFECT_CLIENT_MAX_RETRIES.value() == 2
            with client_retries(0):
                assert PREFECT_CLIENT_MAX_RETRIES.value() == 0
                assert PREFECT_API_URL.value() == "http://127.0.0.1:9/api"
            assert PREFECT_CLIENT_MAX_RETRIES.value() == 2
        assert PREFECT_CLIENT_MAX_RETRIES.value() == before


def test_settings_are_made_once():
    with client_retries(0):
        first = get_current_settings()
    with client_retries(0):
        assert get_current_settings() is first


def test_it_costs_nothing_beside_prefects_own():
    def seconds(block):
        began = time.process_time()
        for _ in range(10):
            with block():
                pass
        return time.process_time() - began

    with client_retries(1):
        pass
    assert seconds(lambda: client_retries(1)) * 5 < seconds(
        lambda: temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1})
    )
