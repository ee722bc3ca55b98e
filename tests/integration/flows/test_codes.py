"""Signups whose mail goes out more than once: the code that arrived is right."""

import email
import re
from email import policy

import pytest
from ledgers import change

from flows.signup_verification import Signup, signup_verification
from waypost import Recipient, Request
from waypost.clock import now
from waypost.ledger.verifications import Checked
from waypost.outcome import Outcome, Phase, Verdict
from waypost.settings import Settings
from waypost.templating import Templates
from waypost.verification import verify

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
    bench.runtime.templates = Templates(Settings().templates, "en")
    signup = Signup(product="Harbour", verify_url="https://app.example/verify")
    asked = [Request[Signup](recipient=Recipient(id="ada", email="ada@a.example"), data=signup)]
    for requests in (asked, [], []):
        await signup_verification(requests)
        await change(bench.runtime.ledger, due_at=now())
    codes = [in_mail(mail) for mail in mails]
    assert codes == [codes[0]] * 3
    assert await verify(bench.runtime.ledger, bench.runtime.secret_key, "ada", codes[0]) is Checked.VERIFIED
