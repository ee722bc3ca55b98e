"""`waypost send TYPE --sample` sends the project's sample first, and says what is wrong with it."""

from __future__ import annotations

import json

import pytest
from support.shipped_types import COMPOSED, SHIPPED
from typer.testing import CliRunner

from waypost.cli import app
from waypost.cli.errors import explained
from waypost.config.brands import brands
from waypost.config.settings import Settings
from waypost.deployments.file_send import read
from waypost.deployments.registry import find
from waypost.deployments.sample_request import WrongOption, sample_request
from waypost.rendering.samples import NoSample, sample_of

BRANDS = json.dumps({"acme": {"sender": "Acme <mail@acme.example>"}})
FACTS = {"product": "Ours", "start_url": "https://ours.example"}


def line(type, to="ada@a.example", locale=None, brand=None):
    return sample_request(find(type), to, locale, Settings(), brands(Settings()), brand)


@pytest.mark.parametrize("type", sorted(SHIPPED - COMPOSED))
def test_every_shipped_type_has_a_sample_that_is_accepted(project, type):
    request = read(find(type), line(type))
    assert not isinstance(request, str), request


def test_a_mail_of_an_author_is_from_the_sender(project, monkeypatch):
    monkeypatch.setenv("WAYPOST_SENDER", "Shop <post@shop.example>")
    mime = json.loads(line("message"))["data"]["mime"]
    assert mime.startswith("From: Harbour Books <post@shop.example>\r\n")


def test_no_two_have_the_same_key_and_each_names_its_locale(project):
    first, second = (json.loads(line("welcome")) for _ in range(2))
    assert first["idempotency_key"] != second["idempotency_key"]
    assert first["recipient"] == {"email": "ada@a.example", "locale": "en"}
    text = json.loads(line("welcome", "+15550100", "de"))
    assert text["recipient"] == {"phone": "+15550100", "locale": "de"}


def test_the_projects_sample_comes_first(project):
    project.template("welcome/sample.json", json.dumps({"facts": FACTS}))
    assert json.loads(line("welcome"))["data"] == FACTS


def test_a_sample_may_begin_with_the_mark_of_an_editor(project):
    project.template("welcome/sample.json", "\ufeff" + json.dumps({"facts": FACTS}))
    assert json.loads(line("welcome"))["data"] == FACTS


def test_a_sample_that_leads_out_of_the_templates_is_refused_and_a_folder_may_be_a_link(tmp_path):
    (tmp_path / "elsewhere.json").write_text(json.dumps({"facts": FACTS}))
    folder = tmp_path / "templates"
    (folder / "welcome").mkdir(parents=True)
    sample = folder / "welcome" / "sample.json"
    sample.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(NoSample, match=r"cannot be read \(a file must stay inside the templates folder\)"):
        sample_of("welcome", [folder], "post@shop.example")
    sample.unlink()
    (folder / "welcome" / "kept.json").write_text(json.dumps({"facts": FACTS}))
    sample.symlink_to("kept.json")
    (tmp_path / "linked").symlink_to(folder)
    assert sample_of("welcome", [tmp_path / "linked"], "post@shop.example").facts == FACTS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "templates/welcome/sample.json cannot be read (it is not JSON): write "),
        ("[]", "templates/welcome/sample.json has no facts: write "),
        ('{"facts": 1}', "templates/welcome/sample.json has no facts: write "),
        ('{"facts": {"product": "x"}}', "templates/welcome/sample.json: data.start_url: missing"),
    ],
)
def test_a_wrong_sample_is_told_with_its_file(project, text, said):
    project.template("welcome/sample.json", text)
    with pytest.raises(NoSample) as error:
        line("welcome")
    assert (explained(error.value) or "").startswith(said)


def test_of_a_type_without_a_sample_the_file_to_write_is_told(project):
    with pytest.raises(NoSample, match=r"mine has no sample: write templates/mine/sample\.json"):
        sample_of("mine", Settings().template_folders, Settings().default_sender)


@pytest.mark.parametrize(
    ("to", "more", "option", "said"),
    [
        ("ada@", {}, "--to", "not a valid email address"),
        ("notanaddress", {}, "--to", "neither a mail address, such as ada@example.com, nor a phone number"),
        ("+155", {}, "--to", "not a phone number of 5 to 15 digits"),
        ("ada@a.example", {"locale": "xx-bogus"}, "--locale", "not a locale such as 'de'"),
        ("ada@a.example", {"brand": "acm"}, "--brand", "there is no brand acm; brands: default, acme"),
    ],
)
def test_a_wrong_option_is_told_with_its_name(project, monkeypatch, to, more, option, said):
    monkeypatch.setenv("WAYPOST_BRANDS", BRANDS)
    with pytest.raises(WrongOption, match=said) as error:
        line("welcome", to, **more)
    assert error.value.option == option


def test_a_sample_of_a_brand_is_from_its_sender(project, monkeypatch):
    monkeypatch.setenv("WAYPOST_BRANDS", BRANDS)
    request = json.loads(line("message", brand="acme"))
    assert request["brand"] == "acme"
    assert request["data"]["mime"].startswith("From: Harbour Books <mail@acme.example>\r\n")
    assert "brand" not in json.loads(line("message"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--from: missing: name a file, or use --sample --to ADDRESS"),
        (("--sample",), "--to: missing: name the address that gets the sample"),
        (("--sample", "--to", "a@a.example", "--from", __file__), "--sample: not together with --from"),
        (("--from", __file__, "--to", "a@a.example"), "--to: only together with --sample"),
        (("--from", __file__, "--locale", "de"), "--locale: only together with --sample"),
        (("--from", __file__, "--brand", "acme"), "--brand: only together with --sample"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, said):
    done = CliRunner().invoke(app, ["send", "welcome", *options])
    assert (done.exit_code, done.stderr.partition(" (see")[0]) == (2, f"waypost: {said}")
