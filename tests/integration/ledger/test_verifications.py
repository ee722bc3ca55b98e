"""Codes: kept as hashes, five wrong tries, fifteen minutes, once."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from ledgers import LONG_AGO, NOTE, ask, change, rows, taken

from waypost import Recipient
from waypost.ledger.intake import accept
from waypost.ledger.tables import verifications
from waypost.ledger.verifications import Checked
from waypost.runtime import Runtime
from waypost.settings import Settings
from waypost.verification import mint, verify, verify_link

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def minted(ledger, times=1):
    """A runtime on the ledger, and what was minted for ada@a.example, in order."""
    runtime = Runtime(Settings(), ledger, [])
    made = []
    for _ in range(times):
        await accept(ledger, NOTE, [ask(recipient=Recipient(id="ada", email="ada@a.example"))])
        _, [notification] = await taken(ledger)
        notification.data["verify_url"] = "https://app.example/verify?from=mail"
        made.append((await mint(runtime, [notification]))[notification.id])
    yield runtime.secret_key, made


def another(code):
    return f"{(int(code) + 1) % 1_000_000:06}"


async def test_a_code_is_six_digits_and_works_once_by_id_or_address(ledger):
    async with minted(ledger) as (key, [one]):
        assert len(one["code"]) == 6
        assert one["code"].isdecimal()
        assert await verify(ledger, key, "ada@a.example", another(one["code"])) is Checked.WRONG
        assert await verify(ledger, key, "ada", one["code"]) is Checked.VERIFIED
        assert await verify(ledger, key, "ADA@a.example", one["code"]) is Checked.USED


async def test_the_code_is_nowhere_in_the_ledger(ledger):
    async with minted(ledger) as (_, [one]):
        for table in verifications.metadata.sorted_tables:
            assert one["code"] not in repr(await rows(ledger, table)), table.name


async def test_five_wrong_tries_end_it_for_the_right_code_too(ledger):
    async with minted(ledger) as (key, [one]):
        wrong = [await verify(ledger, key, "ada", another(one["code"])) for _ in range(5)]
        assert wrong == [Checked.WRONG] * 4 + [Checked.ENDED]
        assert await verify(ledger, key, "ada", one["code"]) is Checked.ENDED


async def test_wrong_tries_at_once_are_all_counted(ledger):
    async with minted(ledger) as (key, [one]):
        tries = await asyncio.gather(*(verify(ledger, key, "ada", another(one["code"])) for _ in range(20)))
        assert tries.count(Checked.WRONG) == 4
        assert await verify(ledger, key, "ada", one["code"]) is Checked.ENDED


async def test_the_right_code_at_once_twenty_times_works_once(ledger):
    async with minted(ledger) as (key, [one]):
        tries = await asyncio.gather(*(verify(ledger, key, "ada", one["code"]) for _ in range(20)))
        assert tries.count(Checked.VERIFIED) == 1


async def test_an_expired_code_is_expired_right_or_wrong(ledger):
    async with minted(ledger) as (key, [one]):
        await change(ledger, verifications, expires_at=LONG_AGO)
        assert await verify(ledger, key, "ada", one["code"]) is Checked.EXPIRED
        assert await verify(ledger, key, "ada", another(one["code"])) is Checked.EXPIRED


async def test_codes_live_fifteen_minutes(ledger):
    async with minted(ledger):
        [row] = await rows(ledger, verifications)
        assert row.expires_at - row.minted_at == timedelta(minutes=15)


async def test_only_the_newest_code_counts(ledger):
    async with minted(ledger, times=2) as (key, [old, new]):
        if old["code"] != new["code"]:
            assert await verify(ledger, key, "ada", old["code"]) is Checked.WRONG
        assert await verify(ledger, key, "ada", new["code"]) is Checked.VERIFIED


async def test_nobody_has_a_code_that_was_never_sent(ledger):
    async with minted(ledger) as (key, _):
        assert await verify(ledger, key, "bob", "000000") is Checked.UNKNOWN


async def test_another_key_makes_every_code_wrong(ledger):
    async with minted(ledger) as (key, [one]):
        assert await verify(ledger, key + b"!", "ada", one["code"]) is Checked.WRONG


async def test_a_link_is_its_code_in_another_form(ledger):
    async with minted(ledger) as (key, [one]):
        query = parse_qs(urlsplit(one["link"]).query)
        assert query["from"] == ["mail"]
        [token] = query["token"]
        assert await verify_link(ledger, key, token) is Checked.VERIFIED
        assert await verify_link(ledger, key, token) is Checked.USED
        assert await verify(ledger, key, "ada", one["code"]) is Checked.USED


@pytest.mark.parametrize("change", [lambda t: t + "x", lambda t: "x" + t, lambda t: "", lambda t: "a.b.c"])
async def test_a_link_that_was_tampered_with_is_unknown(ledger, change):
    async with minted(ledger) as (key, [one]):
        [token] = parse_qs(urlsplit(one["link"]).query)["token"]
        assert await verify_link(ledger, key, change(token)) is Checked.UNKNOWN


async def test_a_code_proves_only_the_address_it_went_to(ledger):
    async with minted(ledger) as (key, [one]):
        elsewhere = ask(recipient=Recipient(id="ada", email="boss@bank.example"))
        await accept(ledger, NOTE, [elsewhere])
        assert await verify(ledger, key, "boss@bank.example", one["code"]) is Checked.UNKNOWN
        assert await verify(ledger, key, "ada", one["code"]) is Checked.UNKNOWN
        assert await verify(ledger, key, "ada@a.example", one["code"]) is Checked.VERIFIED


async def test_a_mail_sent_again_leaves_the_code_of_the_first_good(ledger):
    async with minted(ledger) as (key, [first]):
        runtime = Runtime(Settings(), ledger, [])
        [row] = await rows(ledger)
        await change(ledger, state="accepted")
        _, [again] = await taken(ledger)
        again.data["verify_url"] = "https://app.example/verify"
        second = (await mint(runtime, [again]))[row.id]
        wrong = another(first["code"]) if another(first["code"]) != second["code"] else "000000"
        assert await verify(ledger, key, "ada", wrong) is Checked.WRONG
        assert await verify(ledger, key, "ada", first["code"]) is Checked.VERIFIED
