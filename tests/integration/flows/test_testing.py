"""What the tests of types use: it sends into memory, and says why a notification was not sent."""

from __future__ import annotations

import pytest
from support.project import FLOW, LIKE_ALERT, project_in

from waypost.deployments.registry import UnknownType
from waypost.testing import NotSent, sent

ADA = {"id": "ada", "email": "ada@a.example", "phone": "+15550100", "locale": "de"}
ALERT = {"severity": "info", "source": "s", "summary": "Low", "started_at": "2026-01-02T03:04:05Z"}
STEPS = """
from waypost import Report
from waypost.tasks import deliver, lookup, render, report

@flow(name=TYPE.name)
async def mine(requests: list = [], batch=None) -> Report:
    return await report(await deliver(await render(await lookup(TYPE, requests, batch))))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    with project_in(tmp_path / "project", monkeypatch) as made:
        yield made


def test_it_renders_and_sends_as_a_worker_does(project):
    [message] = sent("alert", {"recipient": ADA, "data": ALERT})
    assert (message.channel, message.address) == ("email", "ada@a.example")
    assert message.mail["To"] == "ada@a.example"
    assert "Low" in message.text
    assert "Low" in message.html


def test_codes_are_minted(project):
    product = {"product": "Harbour", "verify_url": "https://harbour.example/verify"}
    [message] = sent("signup-verification", {"recipient": ADA, "data": product})
    assert "https://harbour.example/verify" in message.text


def test_it_uses_no_ledger_of_the_environment(project, tmp_path, monkeypatch):
    monkeypatch.setenv("WAYPOST_DATABASE_URL", f"sqlite:///{tmp_path}/theirs.db")
    assert len(sent("alert", {"recipient": ADA, "data": ALERT}, {"recipient": ADA, "data": ALERT})) == 1
    assert not (tmp_path / "theirs.db").exists()


def test_a_failed_notification_says_why(project):
    project.write(mine=LIKE_ALERT + "TYPE = replace(ALERT, name='mine')\n" + STEPS)
    with pytest.raises(NotSent, match=r"mine: failed: no templates for mine in de, en"):
        sent("mine", {"recipient": ADA, "data": ALERT})


def test_a_refused_request_says_why(project):
    with pytest.raises(NotSent, match=r"alert: data\.severity: "):
        sent("alert", {"recipient": ADA, "data": {**ALERT, "severity": "loud"}})


def test_a_type_that_there_is_not_is_told(project):
    project.write(mine=LIKE_ALERT + "TYPE = replace(ALERT, name='mine')\n" + FLOW)
    with pytest.raises(UnknownType, match=r"there are address-change, alert, .*, message, mine, "):
        sent("yours", {"recipient": ADA, "data": ALERT})
