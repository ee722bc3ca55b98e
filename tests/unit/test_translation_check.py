"""A translation that loses a value of its text is named with its file, its line, and what is lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.templates import catalogue, mjml
from typer.testing import CliRunner

from waypost.cli import app
from waypost.config.settings import Settings
from waypost.deployments.registry import registered
from waypost.flows.order_confirmation import TYPE as ORDER
from waypost.rendering.live_templates import Templates
from waypost.rendering.template_files import PARTS
from waypost.rendering.translation_check import losses

NOTE = replace(ORDER, name="note")
PLACE = "templates/_locales/de/LC_MESSAGES/messages.po"
COUNTED = ("%(count)s item of %(who)s", "%(count)s items of %(who)s")
COUNTED_SOURCE = (
    "{% trans count=items|length, who=name %}{{ count }} item of {{ who }}"
    "{% pluralize %}{{ count }} items of {{ who }}{% endtrans %}"
)


def found(path, source, text, translation, lang="de"):
    """What is said of a translation, without its place."""
    (path / "note").mkdir()
    for part in PARTS:
        (path / "note" / part).write_text(mjml(source) if part.endswith("mjml") else source)
    file = catalogue(path, lang, {text: translation})
    said = losses(Templates(path), NOTE)
    first = text if isinstance(text, str) else text[0]
    line = file.read_text().split("\n").index(f'msgid "{first}"') + 1
    place = f"{PLACE.replace('/de/', f'/{lang}/')}, line {line}: the translation of {first[:60]!r}: "
    assert all(one.startswith(place) for one in said), said
    return [one.removeprefix(place).partition(";")[0] for one in said]


NAMED = "{% trans name=a, day=b %}Break of {{ name }} on {{ day }}{% endtrans %}"


@pytest.mark.parametrize(
    ("translation", "said"),
    [
        ("Pause von %(name)s am %(day)s", []),
        ("Am %(day)s Pause von %(name)s, 100 %%", []),
        ("Pause ohne", ["it lacks %(day)s", "it lacks %(name)s"]),
        ("Pause %(name)s", ["it lacks %(day)s"]),
        ("Pause %%(name)s %(day)s", ["it lacks %(name)s"]),
        ("Pause %(name)s %(day)", ["it lacks %(day)s", "%(day) stays in it as it is"]),
        ("Pause %(name)s %(day)s %s", ["%s stays in it as it is"]),
        ("Pause %(name)s %(day)s zu 100 % sicher", ["% stays in it as it is"]),
        ("Pause %(name)s %(day)s zu 100 %", ["% stays in it as it is"]),
        ("Pause %(name)s %d", ["it lacks %(day)s", "%d stays in it as it is"]),
    ],
)
def test_a_value_that_a_translation_loses_is_named(tmp_path, translation, said):
    assert found(tmp_path, NAMED, "Break of %(name)s on %(day)s", translation) == said


@pytest.mark.parametrize(
    ("lang", "forms", "said"),
    [
        ("de", ("%(count)s Ding von %(who)s", "%(count)s Dinge von %(who)s"), []),
        ("de", ("ein Ding von %(who)s", "%(count)s Dinge von %(who)s"), []),
        ("de", ("ein Ding", "%(count)s Dinge von %(who)s"), ["it lacks %(who)s"]),
        ("de", ("%(count)s Ding von %(who)s", "%(count)s Dinge"), ["it lacks %(who)s"]),
        ("zh", ("%(who)s 的东西",), []),
        ("zh", ("%(count)s",), ["it lacks %(who)s"]),
        (
            "pl",
            ("rzecz %(who)s", "%(count)s rzeczy %(who)s", "%s rzeczy %(who)s"),
            ["%s stays in it as it is"],
        ),
    ],
)
def test_a_plural_form_may_leave_out_the_number_and_nothing_else(tmp_path, lang, forms, said):
    assert found(tmp_path, COUNTED_SOURCE, COUNTED, forms, lang) == said


@pytest.mark.parametrize(
    ("forms", "said"),
    [
        (("alle", "%(count)s von %(who)s"), []),
        (("alle von %(who)s", "%(count)s"), []),
        (("alle", "%(count)s"), ["it lacks %(who)s"]),
    ],
)
def test_a_value_of_one_form_alone_is_needed_in_one(tmp_path, forms, said):
    source = "{% trans count=n, who=w %}one{% pluralize %}{{ count }} of {{ who }}{% endtrans %}"
    assert found(tmp_path, source, ("one", "%(count)s of %(who)s"), forms) == said


def test_a_percent_sign_that_the_text_has_too_is_meant(tmp_path):
    assert found(tmp_path, "{{ _('5 % off') }}", "5 % off", "5 % weniger") == []


def test_those_that_ship_lose_nothing():
    templates = Templates(Settings().template_folders)
    assert [said for one in registered().values() for said in losses(templates, one.type)] == []


def test_the_check_tells_it_as_a_note(project):
    text = "Order %(order)s confirmed"
    project.template(
        "_locales/de/LC_MESSAGES/messages.po",
        f'msgid ""\nmsgstr ""\n\nmsgid "{text}"\nmsgstr "Bestellung bestätigt"\n',
    )
    done = CliRunner().invoke(app, ["templates", "check", "order-confirmation", "--json"])
    [told] = [one for one in json.loads(done.stdout) if "lacks" in one["finding"]]
    assert (done.exit_code, told["level"], told["file"], told["line"]) == (0, "note", PLACE, 4)
    assert told["finding"].startswith(f"the translation of {text!r}: it lacks %(order)s; write")
