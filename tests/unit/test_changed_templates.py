"""Changed templates are taken up by a running process, a whole set at a time, or not at all."""

from __future__ import annotations

import logging
import os

import pytest
from support.templates import catalogue, mjml

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
