"""Every shipped mail in every language: by the command's own checks, by SpamAssassin and by html-validate."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from support.html_validator import faults
from support.shipped_mails import everything
from typer.testing import CliRunner

from waypost.cli import app
from waypost.config.settings import Settings
from waypost.rendering.checks.finding import Level
from waypost.rendering.checks.page import page_of
from waypost.rendering.checks.rendered_samples import SampleMail, findings_in
from waypost.rendering.checks.spam import NoSpamAssassin, SpamScore, spam_scores

pytestmark = pytest.mark.long

REPLY_TO = "help@shop.example"


@pytest.fixture(scope="module")
def mails():
    return {f"{type}.{lang}": mail for type, lang, mail in everything(reply_to=REPLY_TO)}


@pytest.fixture
def spamassassin():
    """CI fails without it, elsewhere tests skip."""
    if shutil.which("spamassassin") is None:
        if os.environ.get("CI"):
            pytest.fail("spamassassin is missing: .ci/run installs it")
        pytest.skip("no spamassassin: install it to know the spam scores of mails")


def check(*arguments):
    done = CliRunner().invoke(app, ["templates", "check", "--json", *arguments])
    return done.exit_code, json.loads(done.stdout)


def test_the_check_finds_nothing_in_any_shipped_mail(spamassassin):
    assert check() == (0, [])


def test_hard_facts_make_no_finding_either(mails):
    found = {name: [one.said for one in findings_of(name, mail.html)] for name, mail in mails.items()}
    assert {name: said for name, said in found.items() if said} == {}


def findings_of(name, html):
    lang = name.partition(".")[2]
    page = page_of(html, lang, "ltr", lambda line: ("a", line))
    return findings_in(SampleMail(name, lang, b"", html, "a"), page)


def test_the_html_is_valid(mails, tmp_path):
    assert faults({name: mail.html for name, mail in mails.items()}, tmp_path) == {}


def test_the_validator_finds_a_fault(tmp_path):
    page = '<!DOCTYPE html><html lang="en"><head><title>a</title></head><body><p><div></p>{}</body></html>'
    assert [*faults({"bad": page, "good": "<p>a</p>"}, tmp_path)] == ["bad"]


SPAM = b"""\
From: "casino" <a@b.example>\r
To: undisclosed\r
Subject: FREE MONEY VIAGRA $$$ ACT NOW!!!\r
Date: Tue, 24 Mar 1999 09:30:00 +0100\r
Message-ID: <1>\r
\r
XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r
From here on there is nothing.\r
"""
PLAIN = b"""\
From: Shop <a@shop.de>\r
To: Ada <ada@lovelace.de>\r
Subject: Your order 1042\r
Date: Tue, 24 Mar 2026 09:30:00 +0100\r
Message-ID: <1042@shop.de>\r
\r
From today on, your order is on its way.\r
"""


def test_each_mail_gets_its_own_score(spamassassin):
    scores = spam_scores({"plain": PLAIN, "spam": SPAM, "again": PLAIN})
    assert scores["plain"].level is scores["again"].level is None
    assert scores["spam"].level is Level.FAULT
    assert scores["spam"].said.startswith(f"SpamAssassin gives it {scores['spam'].score:g} (GTUBE 1000, ")


@pytest.mark.parametrize(("score", "level"), [(1.9, None), (2.0, "note"), (4.9, "note"), (5.0, "fault")])
def test_a_score_is_a_note_before_it_is_a_fault(score, level):
    assert SpamScore(score, ()).level == level


def test_without_spamassassin_the_check_says_so_once(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSpamAssassin):
        spam_scores({"plain": PLAIN})
    status, [found] = check("refund")
    assert (status, found["level"], found["file"]) == (0, "note", "")
    assert found["finding"] == "the spam score is not checked; install spamassassin"
    assert CliRunner().invoke(app, ["templates", "check", "refund"]).stdout.count("spamassassin") == 1


@pytest.fixture
def refund(tmp_path, monkeypatch):
    """Checks the refund's mail with another element in it, in a project of its own without SpamAssassin."""
    shipped = Settings().template_folders[-1] / "refund" / "body.mjml"
    home = tmp_path / "templates" / "refund"
    home.mkdir(parents=True)
    monkeypatch.setenv("WAYPOST_PROJECT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    def checked(element, *arguments):
        text = shipped.read_text().replace("{% block after %}", f"{{% block after %}}\n{element}")
        (home / "body.mjml").write_text(text)
        done = CliRunner().invoke(app, ["templates", "check", "refund", *arguments])
        line = text[: text.index(element)].count("\n") + 1
        return done.exit_code, done.stdout.splitlines(), f"templates/refund/body.mjml:{line}"

    return checked


NO_SPAM = "the spam score is not checked; install spamassassin (note)"


def test_a_fault_of_all_languages_is_one_line_with_its_place_and_fails(refund):
    status, lines, place = refund('<mj-text><a href="">Your account</a></mj-text>')
    said = "a link has no address; write an https address into its href"
    assert status == 1
    assert lines == [
        f"{place}: {said} (fault; refund; de en es fr pt zh)",
        NO_SPAM,
        "1 type and 6 mails checked: 1 fault, 1 note",
    ]


def test_a_note_fails_nothing_and_a_finding_of_a_language_names_it(refund):
    status, lines, place = refund(
        "{% if lang == 'de' %}<mj-raw><tr style='opacity:0.9'></tr></mj-raw>{% endif %}"
    )
    assert status == 0
    said = "Outlook does not know opacity; make sure that the mail stands without it"
    assert f"{place}: {said} (note; refund; de)" in lines


def test_json_has_the_place_the_types_and_the_languages(refund):
    _, lines, place = refund('<mj-text><a href="#">Your account</a></mj-text>', "--json")
    found, _ = json.loads("".join(lines))
    file, line = place.split(":")
    assert (found["level"], found["types"], found["file"], found["line"]) == (
        "fault",
        ["refund"],
        file,
        int(line),
    )
    assert found["locales"] == ["de", "en", "es", "fr", "pt", "zh"]


def test_templates_that_do_not_compile_are_told_as_before_and_make_no_mail(refund):
    status, lines, place = refund("<mj-text>{{ amont }}</mj-text>")
    assert status == 1
    assert lines[0] == f"{place}: {{{{ amont }}}} is unknown; is it amount? (fault; refund)"
    assert lines[-1] == "1 type and no mails checked: 1 fault, 1 note"


def test_a_brand_of_the_settings_is_looked_at(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    brand = {"sender": "Acme <a@acme.example>", "accent": "#ffcc00"}
    monkeypatch.setenv("WAYPOST_BRANDS", json.dumps({"acme": brand}))
    status, [found, _] = check("refund")
    assert status == 1
    assert found["finding"].startswith(
        "brand acme: text #ffffff on #ffcc00 has a contrast of 1.5:1 in light mode"
    )
    assert found["file"] == "templates/_layout/notice.mjml"


@pytest.mark.parametrize(
    "answer",
    [
        "X-Waypost-Sample: 0\nX-Spam-Score: nine\nX-Spam-Rules: A=1\n",
        "X-Waypost-Sample: 0\nX-Spam-Score: 1.0\nX-Spam-Rules: A=1.2.3\n",
        "X-Waypost-Sample: 7\nX-Spam-Score: 1.0\nX-Spam-Rules: A=1\n",
        "X-Waypost-Sample: 0\nX-Spam-Score: 1.0\n",
        "X-Waypost-Sample: \xff\n",
    ],
)
def test_an_odd_answer_of_spamassassin_is_told(monkeypatch, tmp_path, answer):
    (tmp_path / "answer").write_text(f"From MAILER-DAEMON\n{answer}\nHello\n", "latin-1")
    program = tmp_path / "spamassassin"
    program.write_text(f"#!/bin/sh\nexec /bin/cat {tmp_path}/answer\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSpamAssassin, match="--lint"):
        spam_scores({"plain": PLAIN})
