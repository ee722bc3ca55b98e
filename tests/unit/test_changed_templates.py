"""Changed templates are taken up by a running process, a whole set at a time, or not at all."""

from __future__ import annotations

import logging
import os
import shutil
from datetime import timedelta
from itertools import product

import pytest
from support.templates import catalogue, mjml

from waypost import Category, Facts, NotificationType
from waypost.rendering import live_templates as module
from waypost.rendering.live_templates import Templates
from waypost.rendering.template_check import examine
from waypost.rendering.template_files import TemplateError, stamp
from waypost.rendering.template_set import render

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
    assert "is it name? If you have just added this fact, restart this process" in templates.faults["note"]
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
    shutil.copytree(folder / "note", folder / "other")
    templates.find("other", "en")
    assert caplog.text.count("a catalogue is broken, and mails in its language go out in another") == 1
    (folder / "note" / "body.txt").write_text("{% if %}")
    assert words(templates, "de").subject == "Hello"
    catalogue(folder, "de", GERMAN)
    (folder / "note" / "body.txt").write_text("good")
    assert words(templates, "de").subject == "Hallo"


LOOP, UNREADABLE = ".", "x" * 300  # targets of a link: itself, and a name that no file can have
DEEP = {
    "parentheses": "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    "terms": "{{ " + " + ".join("1" * 3_000) + " }}",
    "conditions": "{% if 1 %}" * 400 + "{% endif %}" * 400,
    "blocks": "".join(f"{{% block b{number} %}}" for number in range(1_000)) + "{% endblock %}" * 1_000,
}


def fault_of(work, *given):
    """What an error of templates says; empty without one."""
    try:
        work(*given)
    except TemplateError as error:
        return str(error)
    return ""


def link(path, target):
    """Put a link in the place of `path`. What was there moves to a name that no template uses."""
    if path.exists():
        path.rename(path.with_name("gone"))
    path.symlink_to(path.name if target == LOOP else target)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        *product(("note", "note/de", "note/body.txt", "_layout/end.txt", "_layout"), (LOOP, UNREADABLE)),
        ("_locales", UNREADABLE),
    ],
)
def test_what_cannot_be_read_leaves_the_old_set_and_is_taken_up_once_it_can(folder, name, target):
    catalogue(folder, "de", {"Hello": "Hallo"})
    (folder / "_layout").mkdir()
    (folder / "_layout" / "end.txt").write_text("old")
    (folder / "note" / "body.txt").write_text("{% include '_layout/end.txt' %}")
    templates = Templates(folder)
    before = words(templates), words(templates, "de")
    link(folder / name, target)
    assert (words(templates), words(templates, "de")) == before
    (folder / name).unlink()
    gone = (folder / name).with_name("gone")
    if gone.exists():
        gone.rename(folder / name)
    (folder / "note" / "short.txt").write_text("newer")
    assert (words(templates).short, words(templates, "de").short) == ("newer", "newer")
    assert templates.faults == {}


@pytest.mark.parametrize("target", [LOOP, UNREADABLE])
@pytest.mark.parametrize("name", ["note", "note/de", "note/body.txt", "_locales"])
def test_at_first_what_cannot_be_read_is_an_error_of_templates_that_names_no_folder_of_the_machine(
    folder, name, target
):
    link(folder / name, target)
    templates = Templates(folder)
    for work in (words, lambda one: one.languages("note"), lambda one: one.parts("note", "en")):
        said = fault_of(work, templates)
        assert said.startswith(("templates/", "no templates for note")) or not said
        assert str(folder) not in said
    assert all(str(folder) not in said for said in examine(templates, NOTE))


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("part", ["subject.txt", "body.txt"])
def test_what_is_nested_too_deep_leaves_the_old_set_and_is_told(folder, part, text):
    templates = Templates(folder)
    before = words(templates)
    (folder / "note" / part).write_text(text)
    assert words(templates) == before
    assert templates.faults["note"].startswith(f"templates/note/{part}")
    assert [said for said in examine(Templates(folder), NOTE) if said.startswith(f"templates/note/{part}")]
    with pytest.raises(TemplateError, match=f"^templates/note/{part}"):
        words(Templates(folder))
    (folder / "note" / part).write_text("good")
    words(templates)
    assert templates.faults == {}


def missing(piece):
    piece.unlink(missing_ok=True)


def nested(piece):
    piece.write_text("{% include '_layout/inner.txt' %}")


def leading_out(piece):
    piece.symlink_to("/etc/hostname")


REPAIRED = {
    "missing": missing,
    "nested": nested,
    "too large": lambda piece: piece.write_text("x" * 1_100_000),
    "no UTF-8": lambda piece: piece.write_bytes(b"\xff"),
    "leading out": leading_out,
}


@pytest.mark.parametrize("fault", REPAIRED.values(), ids=REPAIRED)
@pytest.mark.parametrize("begins", ["in use", "not in use"])
def test_an_included_file_is_taken_up_once_it_is_repaired(folder, fault, begins):
    templates = Templates(folder)
    if begins == "in use":
        words(templates)
    (folder / "_layout").mkdir()
    fault(folder / "_layout" / "piece.txt")
    (folder / "note" / "body.txt").write_text("{% include '_layout/piece.txt' %}")
    if begins == "in use":
        assert [words(templates).plain for _ in range(2)] == ["old\n"] * 2
        assert "_layout/" in templates.faults["note"]
    else:
        with pytest.raises(TemplateError):
            words(templates)
    if fault is nested:
        (folder / "_layout" / "inner.txt").write_text("repaired")
    else:
        missing(folder / "_layout" / "piece.txt")
        (folder / "_layout" / "piece.txt").write_text("repaired")
    assert words(templates).plain == "repaired\n"
    assert templates.faults == {}


def test_a_file_whose_mode_alone_changes_has_another_stamp(folder):
    path = folder / "note" / "body.txt"
    before = stamp(path)
    path.chmod(0o600 if path.stat().st_mode & 0o777 != 0o600 else 0o644)
    assert stamp(path) != before


@pytest.mark.parametrize("fault", ["{{ nmae }}", "{% if %}", "{% include '_layout/missing.txt' %}"])
def test_a_language_with_a_fault_is_sent_in_another_and_leaves_all_others(folder, fault, caplog):
    templates = Templates(folder)
    templates.declare(NOTE)
    words(templates)
    for lang, text in (("de", fault), ("fr", "bonjour")):
        (folder / "note" / lang).mkdir()
        (folder / "note" / lang / "body.txt").write_text(text)
    assert [words(templates, "de").plain for _ in range(3)] == ["old\n"] * 3
    assert "templates/note/de/body.txt, line 1" in templates.faults["note"]
    assert caplog.text.count("are not in use") == 1
    assert words(templates, "fr").plain == "bonjour\n"
    (folder / "note" / "de" / "body.txt").write_text("hallo")
    assert words(templates, "de").plain == "hallo\n"
    assert templates.faults == {}


def test_if_no_language_of_the_recipient_is_in_use_any_is_taken_while_a_change_has_a_fault(folder):
    catalogue(folder, "fr", {"Hello": "Bonjour"})
    templates = Templates(folder)
    assert words(templates, "fr").subject == "Bonjour"
    (folder / "note" / "subject.txt").write_text("{% if %}")
    assert [words(templates, "en").subject for _ in range(2)] == ["Bonjour"] * 2
    (folder / "note" / "subject.txt").write_text("{{ _('Hello') }}")
    assert words(templates, "en").subject == "Hello"


def test_a_check_finds_a_fault_of_each_language(folder):
    (folder / "note" / "de").mkdir()
    (folder / "note" / "de" / "body.txt").write_text("{% if %}")
    templates = Templates(folder)
    words(templates)
    assert [said for said in examine(templates, NOTE) if said.startswith("templates/note/de/body.txt")]


def code(templates, locale, part):
    return getattr(templates.find("note", locale), part).template.root_render_func.__code__


def test_what_is_the_same_in_another_folder_is_not_compiled_again(folder, tmp_path_factory):
    """As in `waypost templates diff`: a translation counts, wherever its catalogue is."""
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(folder / "note", other / "note")
    for where, hello in ((folder, "Hallo"), (other, "Guten Tag")):
        catalogue(where, "de", {"Hello": hello})
    (other / "note" / "body.txt").write_text("new")
    old, new = Templates(folder), Templates(other)
    assert [words(one, "de").subject for one in (old, new)] == ["Hallo", "Guten Tag"]
    assert [words(one, "de").plain for one in (old, new)] == ["old\n", "new\n"]
    shared = {part: code(old, "de", part) is code(new, "de", part) for part in ("subject", "plain", "short")}
    assert shared == {"subject": False, "plain": False, "short": True}
