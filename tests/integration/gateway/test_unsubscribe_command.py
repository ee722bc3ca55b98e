"""`waypost unsubscribe` as a mail server runs it: a real process, with a mail on its standard input."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections import Counter
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr
from support.flow_steps import SETTINGS, run
from support.ledger import rows
from support.processes import command, environment
from support.rings import DATA_KEYS
from support.shipped_types import sample

from waypost import Category, Priority, Recipient, Request
from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.flows.alert import TYPE as ALERT
from waypost.ledger.database.open import ledger_of
from waypost.ledger.database.tables import suppressions
from waypost.ledger.intake.accept import accept_all
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.records import installation, preferences
from waypost.ledger.records import recipients as people
from waypost.recipients.links import Links, Page

pytestmark = pytest.mark.anyio

KEY = "a key of sixteen or more"
ADDRESS = "unsubscribe@mail.shop.example"
PUBLIC = "https://mail.shop.example"
NOTHING = "no link to unsubscribe that works; nothing is changed\n"


class Installation:
    def __init__(self, home):
        self.home = home
        self.ledger = ledger_of(Settings(home=home, secret_key=KEY, data_keys=DATA_KEYS))

    async def accept(self, number):
        facts = ALERT.facts.model_validate({**sample("alert"), "summary": f"disk {number} is full"})
        to_ada = Request[ALERT.facts](recipient=Recipient(id="ada", email="ada@a.example"), data=facts)
        await accept_all(self.ledger, [Candidate(ALERT, to_ada, client="shop")])

    async def sent(self, **settings):
        """The mail of an alert that was sent. Another alert waits."""
        update = {"home": self.home, "secret_key": SecretStr(KEY), "unsubscribe_address": ADDRESS, **settings}
        runtime = Runtime(SETTINGS.model_copy(update=update), self.ledger, [channel := MemoryChannel()])
        await self.accept(1)
        await run(runtime, Priority.URGENT, type=ALERT)
        await runtime.recorder.close()
        await self.accept(2)
        return message_from_bytes(channel.sent[0].content, policy=policy.default)

    async def pipe(self, mail, **more):
        """Run the command with a mail. Returns its exit status and what it printed."""
        known = environment(self.home, **{"WAYPOST_SECRET_KEY": KEY, "WAYPOST_DATA_KEYS": DATA_KEYS, **more})
        done = await asyncio.to_thread(
            subprocess.run,
            command("unsubscribe"),
            input=bytes(mail),
            capture_output=True,
            env=known,
            cwd=self.home,
            timeout=120,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    async def states(self):
        return Counter(row.state for row in await rows(self.ledger))

    async def choices(self):
        return await preferences.choices(self.ledger, "shop", "ada")


@pytest.fixture
async def installed(empty_ledger, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(empty_ledger, home / "ledger.db")
    made = Installation(home)
    await installation.check_key(made.ledger, KEY.encode())
    yield made
    await made.ledger.close()


def addresses(mail):
    return re.findall(r"<([^>]+)>", mail["List-Unsubscribe"])


def written_to(url, prefix=""):
    """The mail that a mail program writes for a mailto address (RFC 6068)."""
    parts = urlsplit(url)
    made = EmailMessage()
    made["From"], made["To"] = "Ada <ada@a.example>", parts.path
    made["Subject"] = prefix + parse_qs(parts.query)["subject"][0]
    made.set_content("This message was written by a mail program.")
    return made


def to_token(token):
    return written_to(f"mailto:{ADDRESS}?subject={token}")


async def test_a_mail_to_the_address_in_a_mail_turns_its_category_off(installed):
    mail = await installed.sent(public_url=PUBLIC)
    by_https, by_mail = addresses(mail)
    assert by_https.startswith(f"{PUBLIC}/u/")
    assert by_mail == f"mailto:{ADDRESS}?subject={by_https.rpartition('/')[2]}"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for _ in range(2):  # a mail server may deliver a mail twice
        assert await installed.pipe(written_to(by_mail, "Re: ")) == (0, "alert is turned off\n", "")
    assert await installed.states() == {"sent": 1, "suppressed": 1}
    [(category, choice)] = (await installed.choices()).items()
    assert (category, choice.by, str(choice.preference.cadence)) == (
        Category.ALERT,
        "unsubscribe mail",
        "never",
    )
    assert choice.evidence.startswith("unsubscribe mail, by the address in a mail of alert, 20")
    assert [row.cause for row in await rows(installed.ledger, suppressions)] == ["unsubscribe"]


async def test_without_pages_mails_name_the_address_alone(installed):
    mail = await installed.sent()
    [by_mail] = addresses(mail)
    assert mail["List-Unsubscribe-Post"] is None
    for kind in ("plain", "html"):
        assert by_mail in mail.get_body((kind,)).get_content()
    assert (await installed.pipe(written_to(by_mail)))[:2] == (0, "alert is turned off\n")
    assert await installed.states() == {"sent": 1, "suppressed": 1}


async def test_a_token_that_is_forged_revoked_or_of_another_page_changes_nothing(installed):
    [by_mail] = addresses(await installed.sent())
    token = by_mail.rpartition("=")[2]
    links = Links(KEY.encode())
    link = links.read(Page.UNSUBSCRIBE, token)
    forged = Links(b"another key of sixteen or more").token(link)
    await people.revoke_links(installed.ledger, "ada", "shop")
    for mail in (to_token(forged), to_token("x" * len(token)), written_to(by_mail)):
        assert await installed.pipe(mail) == (0, NOTHING, "")
    assert await installed.states() == {"sent": 1, "accepted": 1}
    assert await installed.choices() == {}


async def test_a_category_that_may_not_be_turned_off_any_more_stays_on(installed):
    [by_mail] = addresses(await installed.sent())
    terms = '{"alert": {"optional": false}}'
    assert await installed.pipe(written_to(by_mail), WAYPOST_CATEGORIES=terms) == (0, NOTHING, "")
    assert await installed.choices() == {}


async def test_a_mail_without_a_token_needs_no_ledger(installed):
    (installed.home / "ledger.db").rename(installed.home / "away.db")
    bounce = b"From: <>\nSubject: Undelivered mail\nAuto-Submitted: auto-replied\n\nno\n" + b"x" * 3_000_000
    assert await installed.pipe(bounce) == (0, NOTHING, "")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"WAYPOST_DATABASE_URL": "sqlite:////nowhere/ledger.db"}, "ledger"),
        ({"WAYPOST_DATABASE_URL": "postgresql://a:b@127.0.0.1:9/c"}, "127.0.0.1:9"),
        (
            {"WAYPOST_SECRET_KEY": "another key of sixteen or more"},
            "the secret key is not the key of this ledger",
        ),
        ({"WAYPOST_DATA_KEYS": ""}, "WAYPOST_DATA_KEYS"),
        ({"WAYPOST_DEFAULT_TIMEZONE": "Moon"}, "WAYPOST_DEFAULT_TIMEZONE"),
    ],
)
async def test_a_mail_server_keeps_the_mail_if_the_ledger_cannot_be_used(installed, more, said):
    [by_mail] = addresses(await installed.sent())
    code, printed, wrong = await installed.pipe(written_to(by_mail), **more)
    assert (code, printed) == (75, "")
    assert said in wrong
    assert "Traceback" not in wrong
    assert await installed.choices() == {}


async def test_a_mail_server_keeps_the_mail_if_the_settings_cannot_be_read(installed):
    [by_mail] = addresses(await installed.sent())
    (installed.home / ".env").write_bytes(b"WAYPOST_SENDER=\xff\n")
    code, printed, wrong = await installed.pipe(written_to(by_mail))
    assert (code, printed, ".env cannot be read" in wrong) == (75, "", True)
