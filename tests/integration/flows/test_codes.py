"""Signups whose mail goes out more than once: the code that arrived is right."""

import email
import re
from email import policy

import pytest
from support.ledger import change, rows

from waypost import Recipient, Request
from waypost.config.settings import Settings
from waypost.delivery.added_brands import AddedBrands
from waypost.delivery.runtime import Runtime
from waypost.flows.signup_verification import Signup, signup_verification
from waypost.ledger.records.installation import change_key
from waypost.ledger.records.verification_codes import Checked
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.rendering.live_templates import Templates
from waypost.system.clock import now
from waypost.verification.codes import verify

pytestmark = pytest.mark.anyio


def in_mail(message) -> str:
    plain = email.message_from_bytes(message.content, policy=policy.default).get_body(("plain",))
    return re.search(r"\b\d{6}\b", plain.get_content()).group()


@pytest.fixture
async def mails(bench):
    """Every mail that the provider was given, whatever it answers: the verdicts of `answers`, in turn."""
    given, answers = [], iter((Verdict.UNKNOWN, Verdict.DEFERRED, Verdict.ACCEPTED))

    def answer(message):
        given.append(message)
        return Outcome(next(answers), Phase.DOT)

    bench.primary.answer = answer
    return given


async def test_every_mail_of_a_signup_has_the_code_that_is_right(bench, mails):
    bench.runtime.templates = Templates(Settings().template_folders, "en")
    signup = Signup(product="Harbour", verify_url="https://app.example/verify")
    asked = [Request[Signup](recipient=Recipient(id="ada", email="ada@a.example"), data=signup)]
    for requests in (asked, [], []):
        await signup_verification(requests)
        await change(bench.runtime.ledger, due_at=now())
    codes = [in_mail(mail) for mail in mails]
    assert codes == [codes[0]] * 3
    assert await verify(bench.runtime.ledger, bench.runtime.secret_key, "ada", codes[0]) is Checked.VERIFIED


async def test_the_mail_with_a_code_is_its_requests_brands(bench):
    acme = {"sender": "Acme <no-reply@acme.example>"}
    bench.runtime.templates = Templates(Settings().template_folders, "en")
    bench.runtime.added_brands = AddedBrands(Settings(brands={"acme": acme}))
    signup = Signup(product="Harbour", verify_url="https://app.example/verify")
    ada = Recipient(id="ada", email="ada@a.example")
    await signup_verification([Request[Signup](recipient=ada, data=signup, brand="acme")])
    [message] = bench.primary.sent
    mail = email.message_from_bytes(message.content, policy=policy.default)
    assert (mail["From"], message.sender) == ("Acme <no-reply@acme.example>", "no-reply@acme.example")
    told = in_mail(message)
    assert await verify(bench.runtime.ledger, bench.runtime.secret_key, "ada", told) is Checked.VERIFIED


async def test_signups_wait_for_a_worker_with_the_key_that_the_ledger_has_now(bench, caplog):
    other, ledger = "another key of sixteen", bench.runtime.ledger
    await change_key(ledger, other.encode())
    signup = Signup(product="Harbour", verify_url="https://app.example/verify")
    asked = [Request[Signup](recipient=Recipient(id="ada", email="ada@a.example"), data=signup)]
    for requests in (asked, []):
        report = await signup_verification(requests)
        assert report.states == {State.DEFERRED: 1}
        await change(ledger, due_at=now())
    [row] = await rows(ledger)
    assert row.reason == "minting waits for a worker with the ledger's secret key"
    said = [one.levelname for one in caplog.records if "WAYPOST_SECRET_KEY" in one.getMessage()]
    assert (said, bench.primary.sent) == (["ERROR"], [])

    async with Runtime.open(Settings(secret_key=other), [bench.primary]) as again:
        assert (await signup_verification()).states == {State.SENT: 1}
        [mail] = bench.primary.sent
        assert await verify(ledger, again.secret_key, "ada", in_mail(mail)) is Checked.VERIFIED
