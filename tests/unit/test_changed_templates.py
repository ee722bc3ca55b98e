"""Changed templates are taken up by a running process, a whole set at a time, or not at all."""

from __future__ import annotations

import logging
import os
from datetime import timedelta

import pytest
from support.templates import catalogue, mjml

from waypost import Category, Facts, NotificationType
from waypost.rendering import templates as module
from waypost.rendering.template_set import render
from waypost.rendering.templates import Templates

PARTS = {"subject.txt": "{{ _('Hello') }}", "body.txt": "old", "short.txt": "old", "body.mjml": mjml("old")}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "LOOKS_EVERY", 0.0)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "note").mkdir()
    for name, text in PARTS.items():
        (tmp_path / "note" / name).write_text(text)
    return tmp_path


def words(templates, locale="en"):
    return render(templates.find("note", locale), {})


def test_a_change_is_taken_up(folder):
    templates = Templates(folder)
    before = templates.find("note", "en")
    assert templates.find("note", "en") is before
    (folder / "note" / "body.txt").write_text("the new text")
    assert words(templates).plain == "the new text\n"
    assert templates.find("note", "en").version != before.version


def test_a_change_that_does_not_compile_leaves_the_old_set_and_is_told_once(folder, caplog):
    templates = Templates(folder)
    words(templates)
    with caplog.at_level(logging.INFO):
        (folder / "note" / "short.txt").write_text("new")
        (folder / "note" / "body.txt").write_text("{% if %}")
        assert [words(templates).short for _ in range(3)] == ["old"] * 3
        assert "templates/note/body.txt, line 1" in templates.faults["note"]
        assert caplog.text.count("the changed templates of note are not in use") == 1
        (folder / "note" / "body.txt").write_text("repaired")
        assert (words(templates).plain, words(templates).short) == ("repaired\n", "new")
    assert templates.faults == {}


def test_a_change_before_another_language_is_first_used_reaches_all_languages(folder, monkeypatch):
    catalogue(folder, "de", {"Hello": "Hallo"})
    templates = Templates(folder)
    words(templates)
    monkeypatch.setattr(module, "LOOKS_EVERY", 60.0)
    (folder / "note" / "short.txt").write_text("newer")
    assert words(templates, "de").short == "newer"
    monkeypatch.setattr(module, "LOOKS_EVERY", 0.0)
    assert words(templates).short == "newer"


def test_a_new_catalogue_a_layout_and_a_part_of_a_locale_are_taken_up(folder):
    templates = Templates(folder)
    assert words(templates, "de").subject == "Hello"
    catalogue(folder, "de", {"Hello": "Hallo"})
    assert words(templates, "de").subject == "Hallo"
    (folder / "note" / "de").mkdir()
    (folder / "note" / "de" / "short.txt").write_text("kurz")
    assert words(templates, "de").short == "kurz"
    (folder / "_layout").mkdir()
    (folder / "_layout" / "end.txt").write_text("one")
    (folder / "note" / "body.txt").write_text("{% include '_layout/end.txt' %}")
    assert words(templates).plain == "one\n"
    (folder / "_layout" / "end.txt").write_text("two!")
    assert words(templates).plain == "two!\n"


def test_a_projects_file_takes_the_place_of_a_shipped_one(folder, tmp_path_factory):
    mine = tmp_path_factory.mktemp("mine")
    templates = Templates([mine, folder])
    assert words(templates).short == "old"
    (mine / "note").mkdir()
    (mine / "note" / "short.txt").write_text("mine")
    assert words(templates).short == "mine"


def test_a_deleted_type_stays_in_use_and_is_told(folder):
    templates = Templates(folder)
    words(templates)
    os.rename(folder / "note", folder / "gone")
    assert words(templates).short == "old"
    assert "note" in templates.faults


class Note(Facts):
    name: str


NOTE = NotificationType(
    name="note", facts=Note, category=Category.ALERT, route=("email",), deadline=timedelta(hours=1)
)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("used", ["{{ nmae }}", "{{ recipient.nmae }}", "{% if nmae %}x{% endif %}"])
def test_a_change_that_uses_a_name_the_type_does_not_have_leaves_the_old_set(folder, caplog, part, used):
    templates = Templates(folder)
    templates.declare(NOTE)
    before = templates.find("note", "en")
    written = used if part != "body.mjml" else mjml(used)
    (folder / "note" / part).write_text(written)
    assert [templates.find("note", "en") for _ in range(3)] == [before] * 3
    assert f"templates/note/{part}, line 1: {{{{ " in templates.faults["note"]
    assert "is it name?. If the type has it now, restart this process" in templates.faults["note"]
    assert caplog.text.count("the changed templates of note are not in use") == 1
    (folder / "note" / part).write_text(written.replace("nmae", "name"))
    assert templates.find("note", "en").version != before.version
    assert templates.faults == {}


@pytest.mark.parametrize("fault", ["{{ nmae }}", "{% if %}"])
def test_a_language_that_is_first_used_while_a_change_has_a_fault_is_sent_in_one_that_is_in_use(
    folder, fault
):
    catalogue(folder, "de", {"Hello": "Hallo"})
    templates = Templates(folder)
    templates.declare(NOTE)
    words(templates)
    (folder / "note" / "body.txt").write_text(fault)
    assert (words(templates, "de").subject, words(templates, "de").plain) == ("Hello", "old\n")
    (folder / "note" / "body.txt").write_text("good")
    assert (words(templates, "de").subject, words(templates, "de").plain) == ("Hallo", "good\n")


def test_a_fault_in_a_file_that_the_change_includes_first_is_taken_up_once_it_is_corrected(folder):
    templates = Templates(folder)
    templates.declare(NOTE)
    words(templates)
    (folder / "_layout").mkdir()
    (folder / "_layout" / "end.txt").write_text("{{ nmae }}")
    (folder / "note" / "body.txt").write_text("{% include '_layout/end.txt' %}")
    assert words(templates).plain == "old\n"
    (folder / "_layout" / "end.txt").write_text("corrected")
    assert words(templates).plain == "corrected\n"


def test_an_unknown_name_that_the_set_in_use_has_too_does_not_stop_a_change(folder):
    (folder / "note" / "body.txt").write_text("{{ vip if vip is defined else 'all' }}")
    templates = Templates(folder)
    templates.declare(NOTE)
    assert words(templates).plain == "all\n"
    (folder / "note" / "short.txt").write_text("newer")
    assert words(templates).short == "newer"
    assert templates.faults == {}


GERMAN = {"Hello": "Hallo"}


def test_a_catalogue_that_breaks_stays_in_use_as_it_was_and_is_told_once(folder, caplog):
    path = catalogue(folder, "de", GERMAN)
    templates = Templates(folder)
    assert (words(templates).subject, words(templates, "de").subject) == ("Hello", "Hallo")
    path.write_text("rubbish\n")
    (folder / "note" / "short.txt").write_text("new")
    assert [words(templates, "de").subject for _ in range(3)] == ["Hallo"] * 3
    assert words(templates).short == "old"
    assert "messages.po, line 1" in templates.faults["note"]
    assert caplog.text.count("messages.po") == 1
    catalogue(folder, "de", {"Hello": "Servus"})
    assert (words(templates, "de").subject, words(templates).short) == ("Servus", "new")
    assert templates.faults == {}


def test_a_catalogue_that_breaks_before_its_language_is_used_leaves_the_language_out(folder, caplog):
    path = catalogue(folder, "de", GERMAN)
    templates = Templates(folder)
    words(templates)
    path.write_text("rubbish\n")
    assert (words(templates).subject, words(templates, "de").subject) == ("Hello", "Hello")
    assert caplog.text.count("a catalogue is broken, and note is sent in another language") == 1
    (folder / "note" / "body.txt").write_text("{% if %}")
    assert words(templates, "de").subject == "Hello"
    catalogue(folder, "de", GERMAN)
    (folder / "note" / "body.txt").write_text("good")
    assert words(templates, "de").subject == "Hallo"
