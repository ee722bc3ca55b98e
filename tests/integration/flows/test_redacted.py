"""A provider that quotes the mail it refuses: the code and the link reach neither the ledger nor Prefect."""

import email
import re
import shutil
import sqlite3
from email import policy
from pathlib import Path

import pytest
from support.ledger import rows

from waypost import Recipient, Request
from waypost.channels.channel import ChannelUnavailable
from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.deployments.processes import prefect_server
from waypost.deployments.processes.flush import flush_prefect
from waypost.flows.signup_verification import Signup, signup_verification
from waypost.ledger.database.tables import metadata
from waypost.model.outcome import Outcome, Phase, Verdict

pytestmark = pytest.mark.anyio

PAGE = "https://app.example/verify"


def refusing(quoted):
    return Outcome(Verdict.REFUSED, Phase.DOT, 554, "5.7.1", f"spam: {quoted}")


def putting_off(quoted):
    return Outcome(Verdict.DEFERRED, Phase.CONNECT, words=f"connection lost: {quoted}")


def closing(quoted):
    raise ChannelUnavailable("quoting", f"it is closed to {quoted}")


class Quoting(MemoryChannel):
    """Says what it was given, as text and as it was on the wire."""

    def __init__(self, answers):
        super().__init__("quoting", answer=lambda message: answers(self.quoted(message)))
        self.secrets = set()

    def quoted(self, message):
        plain = email.message_from_bytes(message.content, policy=policy.default).get_body(("plain",))
        words = plain.get_content().split()
        [code] = [word for word in words if len(word) == 6 and word.isdecimal()]
        [link] = [word for word in words if word.startswith(PAGE)]
        self.secrets |= {code, link.partition("token=")[2]}
        return f"{message.address}, Canarina, {code}, {code[:3]} {code[3:]}, {link}"


@pytest.fixture
async def quoting(server, empty_ledger, request):
    settings = Settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_ledger, settings.home / "ledger.db")
    channel = Quoting(request.param)
    async with Runtime.open(settings, [channel]) as runtime:
        yield channel, runtime


async def known_to_prefect(home: Path) -> str:
    """Every value of Prefect's database."""
    await flush_prefect()
    with sqlite3.connect(f"file:{home / prefect_server.FILE}?mode=ro", uri=True) as prefect:
        tables = [name for (name,) in prefect.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return "\n".join(repr(prefect.execute(f'SELECT * FROM "{table}"').fetchall()) for table in tables)


async def known_to_the_ledger(ledger) -> str:
    return "\n".join([repr(await rows(ledger, table)) for table in metadata.sorted_tables])


@pytest.mark.parametrize("quoting", [refusing, putting_off, closing], indirect=True)
async def test_what_a_provider_quotes_is_kept_nowhere(quoting, server, caplog):
    channel, runtime = quoting
    recipient = Recipient(id="ada", email="ada@a.example", name="Canarina")
    asked = [
        Request[Signup](recipient=recipient, data=Signup(product="P", verify_url=PAGE)) for _ in range(5)
    ]
    await signup_verification(asked, return_state=True)
    found = [await known_to_the_ledger(runtime.ledger), await known_to_prefect(server.home)]
    assert [one for one in found if "Canarina, ***, ***, ***" in one] == found
    assert channel.secrets
    # The digits of a code may also be a fraction of some second, or in the middle of an id.
    kept = "".join(found) + caplog.text
    alone = {secret: rf"(?<![\w.]){re.escape(secret)}(?!\w)" for secret in channel.secrets}
    assert not [secret for secret, pattern in alone.items() if re.search(pattern, kept)]
