"""Codes: derived, kept as hashes, bound to where they went; five wrong tries, fifteen minutes, once."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from support.ledger import LONG_AGO, change, rows
from support.minted_codes import CODED, another, asked, attempted, key_of, sent

from waypost import Recipient
from waypost.ledger.database.tables import notifications, verifications
from waypost.ledger.database.unreachable import OtherKey
from waypost.ledger.records import recipients
from waypost.ledger.records.installation import check_key
from waypost.ledger.records.verification_codes import Checked
from waypost.model.outcome import Verdict
from waypost.model.profile import Profile
from waypost.system.clock import now
from waypost.verification.codes import verify, verify_link

pytestmark = pytest.mark.anyio

ACCEPTED, REFUSED, DEFERRED, UNKNOWN = Verdict.ACCEPTED, Verdict.REFUSED, Verdict.DEFERRED, Verdict.UNKNOWN
BOTH = replace(CODED, route=("email", "sms"))
REACHED_BY_BOTH = Recipient(id="ada", email="ada@a.example", phone="+49 170 1234512")


async def checked(ledger, recipient, code):
    return await verify(ledger, key_of(ledger), recipient, code)


async def clicked(ledger, link):
    [token] = parse_qs(urlsplit(link).query)["token"]
    return await verify_link(ledger, key_of(ledger), token)


async def test_a_code_is_six_digits_and_works_once_by_id_or_address(ledger):
    code = (await sent(ledger))["code"]
    assert len(code) == 6
    assert code.isdecimal()
    assert await checked(ledger, "ada@a.example", another(code)) is Checked.WRONG
    assert await checked(ledger, "ada", code) is Checked.VERIFIED
    assert await checked(ledger, "ADA@a.example", code) is Checked.USED


async def test_the_code_is_nowhere_in_the_ledger(ledger):
    code = (await sent(ledger))["code"]
    for table in verifications.metadata.sorted_tables:
        assert code not in repr(await rows(ledger, table)), table.name


# Whichever of the mails arrived: in doubt, not taken, taken, or on its way.
@pytest.mark.parametrize("last", [ACCEPTED, UNKNOWN, DEFERRED, REFUSED, None])
async def test_every_rendering_of_a_notification_has_the_code_that_may_have_arrived(ledger, last):
    await asked(ledger)
    made = [await attempted(ledger, verdict) for verdict in (UNKNOWN, DEFERRED, last)]
    assert len({one["code"] for one in made}) == 1
    assert len(await rows(ledger, verifications)) == 1
    assert await clicked(ledger, made[2]["link"]) is Checked.VERIFIED
    assert await clicked(ledger, made[0]["link"]) is Checked.USED


async def test_a_mail_that_is_sent_late_lives_its_minutes_and_the_first_is_remembered(ledger):
    await asked(ledger)
    await attempted(ledger, UNKNOWN)
    [first] = await rows(ledger, verifications)
    assert first.expires_at - first.minted_at == timedelta(minutes=15)
    await change(ledger, verifications, expires_at=first.minted_at)
    code = (await attempted(ledger))["code"]
    [row] = await rows(ledger, verifications)
    assert row.minted_at == first.minted_at
    assert row.expires_at > now() + timedelta(minutes=14)
    assert await checked(ledger, "ada", code) is Checked.VERIFIED


async def test_the_later_end_stays_when_a_rendering_is_written_late(ledger):
    await asked(ledger)
    await attempted(ledger, UNKNOWN)
    end = now() + timedelta(hours=1)
    await change(ledger, verifications, expires_at=end)
    await attempted(ledger)
    assert [row.expires_at for row in await rows(ledger, verifications)] == [end]


async def test_a_code_that_went_to_the_old_address_proves_nothing_about_the_new(ledger):
    await recipients.put(ledger, Profile(id="ada", email="old@a.example"))
    await asked(ledger, Recipient(id="ada"))
    old = await attempted(ledger, UNKNOWN)
    await recipients.put(ledger, Profile(id="ada", email="new@a.example"))
    new = await attempted(ledger)
    assert old["code"] != new["code"]
    assert await checked(ledger, "new@a.example", old["code"]) is Checked.WRONG
    assert await checked(ledger, "ada", old["code"]) is Checked.WRONG
    assert await clicked(ledger, old["link"]) is Checked.UNKNOWN
    assert await checked(ledger, "old@a.example", old["code"]) is Checked.VERIFIED


@pytest.mark.parametrize("by", ["new@a.example", "ada", None])
async def test_the_code_at_the_new_address_proves_it(ledger, by):
    await recipients.put(ledger, Profile(id="ada", email="old@a.example"))
    await asked(ledger, Recipient(id="ada"))
    await attempted(ledger, UNKNOWN)
    await recipients.put(ledger, Profile(id="ada", email="new@a.example"))
    new = await attempted(ledger)
    found = await (checked(ledger, by, new["code"]) if by else clicked(ledger, new["link"]))
    assert found is Checked.VERIFIED


async def test_a_link_is_right_where_its_request_named_another_address_than_the_known_one(ledger):
    made = await sent(ledger, Recipient(id="ada", email="new@a.example"))
    await recipients.put(ledger, Profile(id="ada", email="known@a.example"))
    assert await checked(ledger, "ada", made["code"]) is Checked.UNKNOWN
    assert await clicked(ledger, made["link"]) is Checked.VERIFIED


@pytest.mark.parametrize("resent", ["queued", "rendered", DEFERRED, REFUSED, ACCEPTED, None])
async def test_the_first_code_stays_right_whatever_becomes_of_a_resend(ledger, resent):
    first = (await sent(ledger))["code"]
    await asked(ledger)
    if resent == "rendered":
        await attempted(ledger, kinds=("push",))
    elif resent != "queued":
        await attempted(ledger, resent)
    assert await checked(ledger, "ada@a.example", first) is Checked.VERIFIED


async def test_a_resend_is_right_too_and_ends_the_code_before_it(ledger):
    first, second = [(await sent(ledger))["code"] for _ in range(2)]
    assert await checked(ledger, "ada", second) is Checked.VERIFIED
    assert await checked(ledger, "ada", first) is Checked.USED


async def test_a_used_code_leaves_a_later_one_and_that_of_another_purpose(ledger):
    first, second, login = [(await sent(ledger))["code"] for _ in range(3)]
    ids = [row.id for row in await rows(ledger)]
    await change(ledger, notifications, notifications.c.id == ids[2], type="login")
    assert [await checked(ledger, "ada", one) for one in (first, login, second)] == [Checked.VERIFIED] * 3


@pytest.mark.parametrize("state", ["failed", "expired", "suppressed"])
async def test_a_code_that_was_refused_for_good_is_ended(ledger, state):
    await asked(ledger)
    made = await attempted(ledger, REFUSED)
    await change(ledger, state=state)
    assert await checked(ledger, "ada", made["code"]) is Checked.ENDED
    assert await checked(ledger, "ada@a.example", another(made["code"])) is Checked.ENDED
    assert await clicked(ledger, made["link"]) is Checked.ENDED


async def test_a_code_that_was_put_off_is_right_once_it_may_have_arrived(ledger):
    await asked(ledger)
    code = (await attempted(ledger, DEFERRED))["code"]
    assert [await checked(ledger, "ada", code) for _ in range(6)] == [Checked.WRONG] * 6
    await attempted(ledger)
    assert await checked(ledger, "ada", code) is Checked.VERIFIED


@pytest.mark.parametrize("state", ["failed", "expired", "held"])
async def test_a_code_in_doubt_is_right_whatever_follows(ledger, state):
    await asked(ledger)
    code = (await attempted(ledger, UNKNOWN))["code"]
    await attempted(ledger, REFUSED)
    await change(ledger, state=state)
    assert await checked(ledger, "ada", code) is Checked.VERIFIED


async def test_a_code_that_was_withdrawn_is_ended(ledger):
    await asked(ledger)
    code = (await attempted(ledger, UNKNOWN))["code"]
    await change(ledger, state="cancelled")
    assert await checked(ledger, "ada", code) is Checked.ENDED


@pytest.mark.parametrize("phone", ["+491701234512", "tel:+49-170-1234512", "+49 (170) 1234512"])
async def test_a_code_proves_the_address_that_it_reached_and_no_other(ledger, phone):
    await asked(ledger, REACHED_BY_BOTH)
    code = (await attempted(ledger, REFUSED, ACCEPTED, kinds=("email", "sms"), type=BOTH))["code"]
    assert await checked(ledger, "ada@a.example", code) is Checked.ENDED
    assert await checked(ledger, phone, code) is Checked.VERIFIED
    assert await checked(ledger, "ada", code) is Checked.USED


async def test_a_code_that_went_by_mail_does_not_prove_the_phone(ledger):
    await asked(ledger, REACHED_BY_BOTH)
    code = (await attempted(ledger, type=BOTH))["code"]
    assert await checked(ledger, "+491701234512", code) is Checked.ENDED
    assert await checked(ledger, "ada", code) is Checked.VERIFIED


async def test_an_address_that_its_type_does_not_use_has_no_code(ledger):
    code = (await sent(ledger, REACHED_BY_BOTH))["code"]
    assert await checked(ledger, "+491701234512", code) is Checked.UNKNOWN


async def test_a_code_by_chat_proves_the_id_alone(ledger):
    await asked(ledger, Recipient(id="boss@bank.example", email="ada@a.example"))
    made = await attempted(ledger, kinds=("push",), type=replace(CODED, route=("push",)))
    assert await checked(ledger, "ada@a.example", made["code"]) is Checked.UNKNOWN
    assert await checked(ledger, "boss@bank.example", made["code"]) is Checked.UNKNOWN
    assert await clicked(ledger, made["link"]) is Checked.VERIFIED


async def test_five_wrong_tries_end_it_for_the_right_code_too(ledger):
    code = (await sent(ledger))["code"]
    wrong = [await checked(ledger, "ada", another(code)) for _ in range(5)]
    assert wrong == [Checked.WRONG] * 4 + [Checked.ENDED]
    assert await checked(ledger, "ada", code) is Checked.ENDED


async def test_five_wrong_tries_end_every_code_that_is_out(ledger):
    codes = [(await sent(ledger))["code"] for _ in range(3)]
    for _ in range(5):
        await checked(ledger, "ada@a.example", another(*codes))
    assert {await checked(ledger, "ada", code) for code in codes} == {Checked.ENDED}


async def test_a_new_code_has_five_tries_of_its_own(ledger):
    old = (await sent(ledger))["code"]
    for _ in range(4):
        await checked(ledger, "ada", another(old))
    new = (await sent(ledger))["code"]
    assert [await checked(ledger, "ada", another(old, new)) for _ in range(4)] == [Checked.WRONG] * 4
    assert await checked(ledger, "ada", old) is Checked.ENDED
    assert await checked(ledger, "ada", new) is Checked.VERIFIED


async def test_wrong_tries_at_once_are_all_counted(ledger):
    codes = [(await sent(ledger))["code"] for _ in range(2)]
    tries = await asyncio.gather(*(checked(ledger, "ada", another(*codes)) for _ in range(20)))
    assert tries.count(Checked.WRONG) == 4
    assert {await checked(ledger, "ada", code) for code in codes} == {Checked.ENDED}


async def test_the_right_code_and_its_link_at_once_work_once(ledger):
    made = [await sent(ledger) for _ in range(2)]
    codes = [checked(ledger, "ada@a.example", one["code"]) for one in made for _ in range(8)]
    links = [clicked(ledger, made[1]["link"]) for _ in range(8)]
    tries = await asyncio.gather(*codes, *links)
    assert tries[8:].count(Checked.VERIFIED) == 1
    assert tries[:8].count(Checked.VERIFIED) <= 1
    assert {await checked(ledger, "ada", one["code"]) for one in made} == {Checked.USED}


async def test_a_check_while_the_mail_is_rendered_again_finds_the_code(ledger):
    await asked(ledger)
    code = (await attempted(ledger, UNKNOWN))["code"]
    found, again = await asyncio.gather(checked(ledger, "ada", code), attempted(ledger))
    assert (found, again["code"]) == (Checked.VERIFIED, code)


async def test_an_expired_code_is_expired_right_or_wrong(ledger):
    code = (await sent(ledger))["code"]
    await change(ledger, verifications, expires_at=LONG_AGO)
    assert await checked(ledger, "ada", code) is Checked.EXPIRED
    assert await checked(ledger, "ada", another(code)) is Checked.EXPIRED


async def test_an_expired_code_costs_a_live_one_no_try(ledger):
    old = (await sent(ledger))["code"]
    await change(ledger, verifications, expires_at=LONG_AGO)
    new = (await sent(ledger))["code"]
    assert [await checked(ledger, "ada", old) for _ in range(6)] == [Checked.EXPIRED] * 6
    assert await checked(ledger, "ada", new) is Checked.VERIFIED


async def test_nobody_has_a_code_that_was_never_sent(ledger):
    await sent(ledger)
    assert await checked(ledger, "bob", "000000") is Checked.UNKNOWN


async def test_a_process_with_another_key_judges_no_code(ledger):
    minted = await sent(ledger)
    await check_key(ledger, key_of(ledger))
    other = key_of(ledger) + b"!"
    for judged in (verify(ledger, other, "ada", minted["code"]), verify_link(ledger, other, minted["token"])):
        with pytest.raises(OtherKey):
            await judged


async def test_a_link_is_its_code_in_another_form(ledger):
    made = await sent(ledger)
    query = parse_qs(urlsplit(made["link"]).query)
    assert query["from"] == ["mail"]
    assert query["token"] == [made["token"]]
    assert [await clicked(ledger, made["link"]) for _ in range(2)] == [Checked.VERIFIED, Checked.USED]
    assert await checked(ledger, "ada", made["code"]) is Checked.USED


@pytest.mark.parametrize("change", [lambda t: t + "x", lambda t: "x" + t, lambda t: "", lambda t: "a.b.c"])
async def test_a_link_that_was_tampered_with_is_unknown(ledger, change):
    token = (await sent(ledger))["token"]
    assert await verify_link(ledger, key_of(ledger), change(token)) is Checked.UNKNOWN


@pytest.mark.parametrize("form", ["{} {}", "{}-{}", " {}\u2009{}\n", "{}\u2011{}", "\u202a{}{}\u202c"])
async def test_a_code_is_right_as_it_is_pasted(ledger, form):
    code = (await sent(ledger))["code"]
    assert await checked(ledger, "ada", form.format(code[:3], code[3:])) is Checked.VERIFIED


@pytest.mark.parametrize("zero", ["\uff10", "\u0660"], ids=["full-width", "Arabic"])
async def test_a_code_is_right_in_the_digits_of_any_script(ledger, zero):
    code = (await sent(ledger))["code"]
    written = "".join(chr(ord(zero) + int(digit)) for digit in code)
    assert await checked(ledger, "ada", written) is Checked.VERIFIED


@pytest.mark.parametrize("text", ["", "12345", "1234567", "' OR 1=1", "12345x", "💩"])
async def test_what_cannot_be_a_code_is_wrong_and_costs_no_try(ledger, text):
    code = (await sent(ledger))["code"]
    assert [await checked(ledger, "ada", text) for _ in range(6)] == [Checked.WRONG] * 6
    assert await checked(ledger, "ada", code) is Checked.VERIFIED


@pytest.mark.parametrize(
    ("kept", "asked_by"),
    [
        ("ada@bücher.example", "ada@bücher.example"),
        ("ada@bücher.example", "ADA@xn--bcher-kva.example"),
        ("ÄRGER@a.example", "ärger@A.example"),
        ("Éva@a.example", "ÉVA@a.example"),
        ("Éva@a.example", "mailto:E\u0301va@a.example"),
        ("İ@a.example", "İ@a.example"),
        ('"a..b"@a.example', '"A..B"@a.example'),
    ],
)
@pytest.mark.parametrize("by_id", [False, True])
async def test_an_address_is_found_however_it_is_written(ledger, kept, asked_by, by_id):
    code = (await sent(ledger, Recipient(id="ada", email=kept)))["code"]
    await recipients.put(ledger, Profile(id="ada", email=asked_by.removeprefix("mailto:")))
    assert await checked(ledger, "ada" if by_id else asked_by, code) is Checked.VERIFIED


@pytest.mark.parametrize("recipient", ["47110", "tel:47110"])
async def test_digits_are_an_id_where_it_has_codes_else_a_phone(ledger, recipient):
    await asked(ledger, Recipient(id="phoned", phone="47110"), BOTH)
    phoned = (await attempted(ledger, kinds=("sms",), type=BOTH))["code"]
    assert await checked(ledger, recipient, another(phoned)) is Checked.WRONG
    mailed = (await sent(ledger, Recipient(id="47110", email="ada@a.example")))["code"]
    right, other = (mailed, phoned) if recipient == "47110" else (phoned, mailed)
    assert await checked(ledger, recipient, other) is Checked.WRONG
    assert await checked(ledger, recipient, right) is Checked.VERIFIED


async def test_an_id_that_looks_like_an_address_proves_nothing_about_it(ledger):
    code = (await sent(ledger, Recipient(id="boss@bank.example", email="ada@a.example")))["code"]
    assert await checked(ledger, "boss@bank.example", code) is Checked.UNKNOWN
    assert await checked(ledger, "ada@a.example", code) is Checked.VERIFIED


async def test_a_code_proves_only_the_address_it_went_to(ledger):
    code = (await sent(ledger))["code"]
    await asked(ledger, Recipient(id="ada", email="boss@bank.example"))
    assert await checked(ledger, "boss@bank.example", code) is Checked.UNKNOWN
    assert await checked(ledger, "ada", code) is Checked.UNKNOWN
    assert await checked(ledger, "ada@a.example", code) is Checked.VERIFIED


async def test_a_forgotten_recipients_codes_are_gone(ledger):
    made = await sent(ledger)
    await recipients.forget(ledger, "ada")
    assert await checked(ledger, "ada@a.example", made["code"]) is Checked.UNKNOWN
    assert await clicked(ledger, made["link"]) is Checked.UNKNOWN
