"""While the providers of a route do not work, its runs are few."""

import pytest
from support.note_flow import TYPE

from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.outage_pace import APART, URGENT_APART, seconds_apart
from waypost.delivery.provider_set import ProviderSet
from waypost.ledger import open_ledger
from waypost.model.priority import Priority
from waypost.policy.circuit_breaker import FAILURES

pytestmark = pytest.mark.anyio


@pytest.fixture
async def providers(tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    channels = [MemoryChannel("primary"), MemoryChannel("backup"), MemoryChannel("texts", kind="sms")]
    yield ProviderSet(Settings(), channels, ledger)
    await ledger.close()


@pytest.mark.parametrize(
    ("down", "lane", "apart"),
    [
        ((), Priority.NORMAL, 0.0),
        (("primary",), Priority.NORMAL, 0.0),
        (("texts",), Priority.NORMAL, 0.0),
        (("primary", "backup"), Priority.NORMAL, APART),
        (("primary", "backup"), Priority.URGENT, URGENT_APART),
        (("primary", "backup", "texts"), Priority.URGENT, APART),
    ],
)
async def test_runs_are_apart_while_no_provider_of_the_first_kind_takes_mail(providers, down, lane, apart):
    for name in down:
        for _ in range(FAILURES):
            providers.state(name).record_failure("it does not open")
    assert seconds_apart(providers, TYPE, lane) == apart
