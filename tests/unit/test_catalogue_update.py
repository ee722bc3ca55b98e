"""Catalogues follow the texts of the templates, and translators' work is kept."""

from __future__ import annotations

from itertools import permutations

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from support.templates import catalogue, mjml
from typer.testing import CliRunner

from waypost.cli import app
from waypost.rendering.catalogue_update import texts_in, update
from waypost.rendering.catalogues import BrokenCatalogue, parsed, read_catalogue
from waypost.rendering.live_templates import Templates
from waypost.rendering.template_files import TemplateError

COUNTED = "{% trans count=n %}{{ count }} item{% pluralize %}{{ count }} items{% endtrans %}"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "note").mkdir()
    (tmp_path / "note" / "subject.txt").write_text("{{ _('Hello') }} {{ pgettext('button', 'Open') }}")
    (tmp_path / "note" / "body.mjml").write_text(
        mjml("{% trans who=name %}\n  Dear\n  {{ who }}\n{% endtrans %}")
    )
    (tmp_path / "note" / "short.txt").write_text(COUNTED)
    return tmp_path


def read(folder, lang):
    return read_catalogue([folder / "_locales" / lang / "LC_MESSAGES" / "messages.po"], lang).texts


def test_every_text_is_found_with_its_file(folder):
    assert {(key, file) for key, _, file in texts_in(folder)} == {
        (("", "Hello"), "note/subject.txt"),
        (("button", "Open"), "note/subject.txt"),
        (("", "Dear %(who)s"), "note/body.mjml"),
        (("", "%(count)s item"), "note/short.txt"),
    }


def test_a_new_language_begins_without_translations(folder):
    done = update(folder, "pt-BR")
    assert (done.texts, done.lacking, done.obsolete) == (4, 4, 0)
    assert done.file == folder / "_locales" / "pt_BR" / "LC_MESSAGES" / "messages.po"
    assert "#: note/short.txt" in done.file.read_text()
    assert read(folder, "pt_BR") == {}


def test_translations_stay_and_texts_that_left_go(folder):
    plural = ("%(count)s item", "%(count)s items")
    catalogue(
        folder, "de", {"Hello": "Hallo", "Long gone": "Weg", plural: ("%(count)s Ding", "%(count)s Dinge")}
    )
    done = update(folder, "de")
    assert (done.texts, done.lacking, done.obsolete) == (4, 2, 1)
    assert read(folder, "de") == {
        ("", "Hello"): ("Hallo",),
        ("", "%(count)s item"): ("%(count)s Ding", "%(count)s Dinge"),
    }
    before = done.file.read_bytes()
    assert update(folder, "de").file.read_bytes() == before, "a second update changes nothing"


BUTTON, MENU, NONE = (
    ("button", "Aufmachen"),
    ("menu", "Menü auf"),
    (None, "Öffnen"),
)


def in_contexts(folder, text, translations=(BUTTON, MENU, NONE), file="messages.po"):
    """Write a catalogue that translates a text in several contexts."""
    made = Catalog(locale="de", fuzzy=False)
    for context, translated in translations:
        made.add(text, translated, context=context)
    path = folder / "_locales" / "de" / "LC_MESSAGES" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as opened:
        write_po(opened, made)


@pytest.fixture
def contexts(folder):
    """A folder that has a text in two contexts, and in none."""
    texts = "{{ _('Open') }} {{ pgettext('button', 'Open') }} {{ pgettext('menu', 'Open') }}"
    (folder / "note" / "subject.txt").write_text(texts)
    return folder


@pytest.mark.parametrize("order", [*permutations((BUTTON, MENU, NONE))])
def test_each_translation_stays_with_its_context(contexts, order):
    in_contexts(contexts, "Open", order)
    file = update(contexts, "de").file
    found = {
        ("", "Open"): ("Öffnen",),
        ("button", "Open"): ("Aufmachen",),
        ("menu", "Open"): ("Menü auf",),
    }
    assert read(contexts, "de") == found
    before = file.read_bytes()
    assert update(contexts, "de").file.read_bytes() == before
    assert read(contexts, "de") == found


@pytest.mark.parametrize("order", [*permutations((BUTTON, MENU, NONE))])
def test_a_changed_text_takes_the_translation_of_its_own_context(contexts, order):
    in_contexts(contexts, "Open.", order)
    done = update(contexts, "de")
    fuzzy = {
        (one.context, one.string) for one in parsed(done.file, "de") if one.id and one.fuzzy and one.string
    }
    assert fuzzy == {BUTTON, MENU, NONE}
    assert done.obsolete == 0


def test_a_text_that_gets_a_context_takes_its_translation_along_as_fuzzy(contexts):
    in_contexts(contexts, "Open", [NONE])
    file = update(contexts, "de").file
    assert read(contexts, "de") == {("", "Open"): ("Öffnen",)}
    assert '#, fuzzy\nmsgctxt "menu"\nmsgid "Open"\nmsgstr "Öffnen"' in file.read_text()


def test_a_translation_in_a_later_file_is_kept_when_an_earlier_file_has_the_text_without_one(contexts):
    in_contexts(contexts, "Open", [(context, "") for context, _ in (BUTTON, MENU, NONE)], "a.po")
    in_contexts(contexts, "Open")
    update(contexts, "de")
    assert len(read(contexts, "de")) == 3


def test_a_changed_text_keeps_its_translation_until_a_person_confirms_it(folder):
    catalogue(folder, "de", {"Dear %(who)s!": "Guten Tag %(who)s!"})
    file = update(folder, "de").file
    assert '#, fuzzy, python-format\nmsgid "Dear %(who)s"\nmsgstr "Guten Tag %(who)s!"' in file.read_text()
    assert ("", "Dear %(who)s") not in read(folder, "de")


THREE_FORMS = r"""msgid ""
msgstr ""
"Language: fr\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=3; plural=(n == 0 || n == 1) ? 0 : n != 0 && n % 1000000 "
"== 0 ? 1 : 2;\n"

msgid "%(count)s item"
msgid_plural "%(count)s items"
msgstr[0] "%(count)s objet"
msgstr[1] "%(count)s millions d'objets"
msgstr[2] "%(count)s objets"
"""


def test_the_plural_rule_of_a_file_stays_with_all_its_forms(folder):
    file = folder / "_locales" / "fr" / "LC_MESSAGES" / "messages.po"
    file.parent.mkdir(parents=True)
    file.write_text(THREE_FORMS)
    before = read_catalogue([file], "fr")
    written = [update(folder, "fr").file.read_bytes() for _ in range(2)]
    after = read_catalogue([file], "fr")
    assert after.texts == before.texts
    assert after.texts["", "%(count)s item"] == (
        "%(count)s objet",
        "%(count)s millions d'objets",
        "%(count)s objets",
    )
    assert [after.form(n) for n in (1, 2, 1_000_000)] == [0, 2, 1]
    assert written[0] == written[1]


def test_a_new_language_and_a_file_without_a_rule_get_the_rule_of_the_language(folder):
    rule = "Plural-Forms: nplurals=3; plural=(n==1 ? 0 :"
    assert rule in update(folder, "pl").file.read_text()
    file = update(folder, "pl").file
    file.write_text('msgid "Hello"\nmsgstr "Witaj"\n')
    assert rule in update(folder, "pl").file.read_text()


def test_several_catalogues_of_a_language_become_one(folder):
    first = catalogue(folder, "de", {"Hello": "Hallo"})
    first.rename(first.with_name("other.po"))
    catalogue(folder, "de", {"Dear %(who)s": "Guten Tag %(who)s"})
    done = update(folder, "de")
    assert [path.name for path in done.file.parent.iterdir()] == ["messages.po"]
    assert {text for _, text in read(folder, "de")} == {"Hello", "Dear %(who)s"}


def test_a_broken_catalogue_or_template_is_named_and_nothing_is_written(folder):
    file = catalogue(folder, "de", {"Hello": "Hallo"})
    file.write_text('msgid "Hello\n')
    with pytest.raises(BrokenCatalogue, match=r"messages\.po, line 1"):
        update(folder, "de")
    assert file.read_text() == 'msgid "Hello\n'
    file.unlink()
    (folder / "note" / "body.txt").write_text("\n{% trans %}")
    with pytest.raises(TemplateError, match=r"templates/note/body\.txt, line 2"):
        update(folder, "de")


def told(*arguments):
    done = CliRunner().invoke(app, ["templates", *arguments])
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("arguments", [["update"], ["update", "de"], ["check", "refund"]])
def test_a_folder_in_the_place_of_a_catalogue_is_named(project, arguments):
    (project.folder / "templates" / "_locales" / "de" / "LC_MESSAGES" / "messages.po").mkdir(parents=True)
    code, said = told(*arguments)
    assert code == 1
    assert (
        "templates/_locales/de/LC_MESSAGES/messages.po: a folder, and a catalogue is a file; move it" in said
    )


@pytest.mark.parametrize("file", ["_locales", "_locales/de", "_locales/de/LC_MESSAGES"])
def test_a_file_in_the_place_of_a_folder_is_named(project, file):
    project.template(file, "x")
    code, said = told("update", "de")
    assert code == 1
    assert "de/LC_MESSAGES/messages.po cannot be written, as one of the folders in its path is a file" in said


def test_what_an_editor_has_beside_an_open_catalogue_is_no_catalogue(folder):
    file = catalogue(folder, "de", {"Hello": "Hallo"})
    file.with_name(".#messages.po").symlink_to("ada@host.1234:5678")  # as Emacs does
    file.with_name("._messages.po").write_bytes(b"\0")  # as macOS does
    assert [*Templates(folder).translation("de").catalogues[0].texts] == [("", "Hello")]
    update(folder, "de")
    assert read(folder, "de") == {("", "Hello"): ("Hallo",)}
    assert file.with_name("._messages.po").exists()


@pytest.mark.parametrize(
    "text", ["{{ " + "(" * 300 + "1" + ")" * 300 + " }}", "{% if 1 %}" * 400 + "{% endif %}" * 400]
)
def test_a_template_that_nests_too_deep_is_named(folder, text):
    (folder / "note" / "short.txt").write_text(text)
    with pytest.raises(TemplateError, match=r"^templates/note/short.txt: .* nested too deep"):
        update(folder, "de")
