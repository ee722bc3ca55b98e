"""Short commands are quick: they import nothing that they do not use."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from support.ledger import NOTE, ask
from support.processes import environment

from waypost.config.settings import Settings
from waypost.ledger import connect
from waypost.ledger.database.tables import notifications
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.system.clock import now

RUN = """
import sys
from waypost.cli import main
try:
    main()
except SystemExit:
    print(*sorted(sys.modules), file=sys.stderr)
"""
OF_SERVERS = {"prefect", "fastapi", "alembic", "httpx", "mjml", "rich.markdown"}
WITHOUT_A_LEDGER = OF_SERVERS | {"sqlalchemy", "pydantic_settings"}
ON_SQLITE = OF_SERVERS | {"sqlalchemy.ext.asyncio", "sqlalchemy.orm", "asyncpg"}
ID = "019b76da-a800-7000-8000-000000000000"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A ledger with a notification that has been due for an hour: the commands ask Prefect why."""
    home = tmp_path_factory.mktemp("light")
    asyncio.run(_fill(Settings(home=home)))
    return home


async def _fill(settings):
    async with connect(settings) as ledger:
        await ledger.upgrade()
        await accept_all(ledger, [Candidate(NOTE, ask(), "")])
        late = sa.update(notifications).values(id=UUID(ID), due_at=now() - timedelta(hours=1))
        await ledger.write(lambda connection: connection.execute(late))


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (("--version",), WITHOUT_A_LEDGER),
        (("--help",), WITHOUT_A_LEDGER),
        (("list", "--help"), ON_SQLITE),
        (("list",), ON_SQLITE),
        (("list", "--recipient", "ada@a.example"), ON_SQLITE),
        (("explain", ID), ON_SQLITE | {"email_validator"}),
        (("keys", "list"), ON_SQLITE),
        (("webhooks", "list"), ON_SQLITE),
    ],
)
def test_a_short_command_imports_only_what_it_uses(home, arguments, unused):
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
    )
    loaded = set(done.stderr.split())
    assert "waypost.cli" in loaded, done.stderr
    assert not unused & loaded
