"""The two clients have the same methods, word for word."""

from support.sync_client import ASYNC, SYNC, derived


def test_the_synchronous_client_is_derived_from_the_asynchronous():
    assert SYNC.read_text() == derived(ASYNC.read_text()), "run `make client`"
