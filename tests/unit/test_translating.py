"""One structure, many languages: texts are in place when a template is loaded."""

from __future__ import annotations

import logging
import re

import pytest
from babel.messages.plurals import get_plural
from support.templates import catalogue, mjml

from waypost.model.locale import locales
from waypost.rendering.catalogue_update import update
from waypost.rendering.catalogues import BrokenCatalogue, catalogue_languages, read_catalogue
from waypost.rendering.live_templates import Scarce, Templates
from waypost.rendering.template_files import TemplateError
from waypost.rendering.template_set import render

SUBJECT = "{% trans name=name %}Order of {{ name }}{% endtrans %}"
COUNTED = "{% trans count=n %}{{ count }} item{% pluralize %}{{ count }} items{% endtrans %}"
GERMAN = {
    "Order of %(name)s": "Bestellung von %(name)s",
    "Hello": "Hallo",
    ("%(count)s item", "%(count)s items"): ("%(count)s Stück", "%(count)s Stücke"),
}
POLISH = {
    ("%(count)s item", "%(count)s items"): ("%(count)s rzecz", "%(count)s rzeczy", "%(count)s rzeczy wiele")
}


def folder(path, **parts):
    """A folder with a type `note`, written once for all languages."""
    (path / "note").mkdir(exist_ok=True)
    files = {
        "subject.txt": SUBJECT,
        "body.txt": "{{ _('Hello') }} {{ name }}",
        "short.txt": COUNTED,
        "body.mjml": mjml("{{ _('Hello') }} {{ name }}"),
        **parts,
    }
    for name, text in files.items():
        (path / "note" / name).write_text(text)
    return path


def words(path, locale, default="en", **values):
    return render(Templates(path, default).find("note", locale), {"name": "<Ada>", "n": 2, **values})


def test_a_language_is_one_catalogue(tmp_path):
    catalogue(folder(tmp_path), "de", GERMAN)
    german, english = words(tmp_path, "de"), words(tmp_path, "en")
    assert (german.subject, german.plain, german.short) == (
        "Bestellung von <Ada>",
        "Hallo <Ada>\n",
        "2 Stücke",
    )
    assert (english.subject, english.plain, english.short) == ("Order of <Ada>", "Hello <Ada>\n", "2 items")
    assert "Hallo &lt;Ada&gt;" in german.html
    assert Templates(tmp_path).languages("note") == ["de", "en"]


@pytest.mark.parametrize(
    ("n", "said"), [(1, "1 rzecz"), (3, "3 rzeczy"), (5, "5 rzeczy wiele"), (22, "22 rzeczy")]
)
def test_plurals_follow_the_language(tmp_path, n, said):
    parts = dict.fromkeys(("subject.txt", "body.txt", "short.txt"), COUNTED)
    catalogue(folder(tmp_path, **parts, **{"body.mjml": mjml("-")}), "pl", POLISH)
    assert words(tmp_path, "pl", n=n).subject == said


def test_what_is_missing_falls_back_text_by_text_and_is_said(tmp_path, caplog):
    catalogue(folder(tmp_path), "zh", {"Hello": "你好", "Order of %(name)s": "%(name)s 的订单"})
    catalogue(tmp_path, "zh-CN", {"Hello": "您好"})
    with caplog.at_level(logging.WARNING):
        said = words(tmp_path, "zh-CN")
    assert (said.plain, said.subject, said.short) == ("您好 <Ada>\n", "<Ada> 的订单", "2 items")
    assert "note has 1 texts without a translation in zh-CN: '%(count)s item'" in caplog.text


def test_a_type_without_texts_in_a_language_is_not_sent_half_in_it(tmp_path):
    catalogue(folder(tmp_path), "de", {"Another type's": "Anderes"})
    assert Templates(tmp_path).languages("note") == ["en"]
    assert words(tmp_path, "de").plain == "Hello <Ada>\n"


def test_a_type_with_few_texts_in_a_language_is_not_sent_half_in_it(tmp_path):
    catalogue(folder(tmp_path), "de", {"Hello": "Hallo"})  # a text that it shares with another type
    templates = Templates(tmp_path)
    assert (templates.languages("note"), templates.scarcely_translated("note")) == (
        ["en"], [Scarce("de", 1, 3, meant=False)],
    )  # fmt: skip
    assert words(tmp_path, "de").plain == "Hello <Ada>\n"
    catalogue(tmp_path, "de", {"Hello": "Hallo", "Order of %(name)s": "Bestellung von %(name)s"})
    templates = Templates(tmp_path)
    assert (templates.languages("note"), templates.scarcely_translated("note")) == (["de", "en"], [])
    assert words(tmp_path, "de").plain == "Hallo <Ada>\n"


def test_a_country_may_change_a_single_text_of_its_language(tmp_path):
    catalogue(folder(tmp_path), "de", GERMAN)
    catalogue(tmp_path, "de-AT", {"Hello": "Servus"})
    said = words(tmp_path, "de-AT")
    assert (said.plain, said.subject) == ("Servus <Ada>\n", "Bestellung von <Ada>")


@pytest.mark.parametrize("lang", ["de", "de-AT"])
def test_a_broken_catalogue_takes_its_countries_along(tmp_path, lang):
    path = catalogue(folder(tmp_path), "de", GERMAN)
    catalogue(tmp_path, "de-AT", {"Hello": "Servus"})
    path.write_text("rubbish\n")
    assert words(tmp_path, lang).plain == "Hello <Ada>\n"


def test_a_folder_of_a_locale_replaces_a_part(tmp_path):
    catalogue(folder(tmp_path), "de", GERMAN)
    (tmp_path / "note" / "de").mkdir()
    (tmp_path / "note" / "de" / "subject.txt").write_text("Nur hier")
    said = words(tmp_path, "de-AT")
    assert (said.subject, said.plain) == ("Nur hier", "Hallo <Ada>\n")


def test_right_to_left(tmp_path):
    page = mjml("{{ _('Hello') }}").replace("<mjml>", '<mjml lang="{{ lang }}" dir="{{ direction }}">')
    catalogue(
        folder(tmp_path, **{"body.mjml": page, "subject.txt": "-", "short.txt": "-"}),
        "ar",
        {"Hello": "مرحبا"},
    )
    assert 'lang="ar" dir="rtl"' in words(tmp_path, "ar").html
    assert 'lang="en" dir="ltr"' in words(tmp_path, "en").html


def test_a_projects_catalogue_comes_before_the_shipped_one(tmp_path):
    mine, shipped = tmp_path / "mine", tmp_path / "shipped"
    mine.mkdir()
    shipped.mkdir()
    catalogue(folder(shipped), "de", GERMAN)
    catalogue(mine, "de", {"Hello": "Servus"})
    said = render(Templates([mine, shipped]).find("note", "de"), {"name": "Ada", "n": 1})
    assert (said.plain, said.subject) == ("Servus Ada\n", "Bestellung von Ada")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ _(name) }}", r"line 1: _\(\) needs texts in quotes"),
        ("x\n{{ ngettext('a', name, 2) }}", r"line 2: ngettext\(\) needs texts in quotes"),
    ],
)
def test_a_text_that_is_no_text_is_refused(tmp_path, text, why):
    with pytest.raises(TemplateError, match=why):
        words(folder(tmp_path, **{"subject.txt": text}), "en")


def test_a_translation_with_a_foreign_variable_is_refused_by_name(tmp_path):
    catalogue(folder(tmp_path), "de", {**GERMAN, "Order of %(name)s": "Bestellung %(nummer)s"})
    with pytest.raises(
        TemplateError, match=r"messages.po, line \d+: .*%\(nummer\)s is no variable of this text"
    ):
        words(tmp_path, "de")


@pytest.mark.parametrize("broken", ['msgid "a\nmsgstr "b"\n', "rubbish\n", 'msgid "Hello"\nmsgstr "\\xff\n'])
def test_a_broken_catalogue_is_named_and_the_mail_goes_out_in_another_language(tmp_path, caplog, broken):
    path = catalogue(folder(tmp_path), "de", GERMAN)
    path.write_text(broken)
    assert words(tmp_path, "de").plain == "Hello <Ada>\n"
    assert "templates/_locales/de/LC_MESSAGES/messages.po" in caplog.text
    with pytest.raises(BrokenCatalogue, match=r"messages\.po"):
        Templates(tmp_path).translation("de")


def with_rule(path, rule):
    """Give a German catalogue, in its line 3, another plural rule."""
    made = catalogue(folder(path), "de", GERMAN)
    [_, *texts] = made.read_text().partition("\n\n")
    made.write_text(f'msgid ""\nmsgstr ""\n"Plural-Forms: {rule}\\n"\n' + "".join(texts))
    return made


@pytest.mark.parametrize(
    "number",
    ["999999999", "7", "0", "-1", "two", "9" * 5000, "1e9", "'999999999'", '\\"999999999\\"', " 999999999 "],
)
@pytest.mark.parametrize(
    "rule", ["nplurals={}; plural=(n != 1);", "plural=0;NPLURALS = {}", "nplurals*=utf-8''{}"]
)
def test_a_number_of_plural_forms_that_no_language_has_is_named_with_its_line(tmp_path, number, rule):
    file = with_rule(tmp_path, rule.format(number))
    with pytest.raises(BrokenCatalogue, match=r"messages\.po, line 3: Plural-Forms: nplurals must .* 1 to 6"):
        read_catalogue([file], "de")
    with pytest.raises(BrokenCatalogue, match=r"messages\.po, line 3: Plural-Forms: nplurals"):
        update(tmp_path, "de")
    assert words(tmp_path, "de").plain == "Hello <Ada>\n"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("n/0", "divides by zero for the amount 0"),
        ("0/(n-100)", "divides by zero for the amount 100"),
        ("n%(n-1)", "divides by zero for the amount 1"),
        ("n > 1 ? 2 : 0", "gives form 2 for the amount 2; nplurals=2 has 0 to 1"),
        ("n - 1", "gives form -1 for the amount 0; nplurals=2 has 0 to 1"),
        ("n == 1000000 ? 2 : n > 1", "gives form 2 for the amount 1000000; nplurals=2 has 0 to 1"),
        ("m", "is no rule: invalid token"),
        ("", "is no rule: "),
        ("(" * 30 + "n" + ")" * 30, "is no rule: "),
        ("__import__('os')", "is no rule: "),
    ],
)
def test_a_plural_rule_that_fails_for_an_amount_is_named_with_its_line(tmp_path, rule, why):
    file = with_rule(tmp_path, f"nplurals=2; plural={rule};")
    said = re.escape(f"messages.po, line 3: Plural-Forms: plural={rule} {why}")
    with pytest.raises(BrokenCatalogue, match=said):
        read_catalogue([file], "de")
    with pytest.raises(BrokenCatalogue, match=said):
        update(tmp_path, "de")
    assert words(tmp_path, "de").short == "2 items"


def test_the_rule_of_every_language_is_right(tmp_path):
    """An update writes it into a new catalogue."""
    rules = {get_plural(lang.replace("-", "_")).plural_forms for lang in locales()}
    assert len(rules) > 10
    for rule in rules:
        file = with_rule(tmp_path, rule)
        file.write_text(file.read_text().partition("\n\n")[0])
        read_catalogue([file], "de")


def test_a_header_in_another_place_is_checked_too(tmp_path):
    file = with_rule(tmp_path, "nplurals=2; plural=(n != 1);")
    line = file.read_text().count("\n") + 3
    file.write_text(file.read_text() + '\nmsgid ""\nmsgstr "A: b\\nplural-forms: nplurals=99999999;\\n"\n')
    with pytest.raises(BrokenCatalogue, match=rf"messages\.po, line {line}: Plural-Forms: nplurals"):
        read_catalogue([file], "de")


def test_a_fuzzy_translation_does_not_count(tmp_path):
    path = catalogue(folder(tmp_path), "de", {"Hello": "Hallo"})
    path.write_text(path.read_text().replace('msgid "Hello"', '#, fuzzy\nmsgid "Hello"'))
    assert words(tmp_path, "de").plain == "Hello <Ada>\n"


def test_a_catalogue_may_begin_with_the_mark_of_an_editor(tmp_path):
    path = catalogue(folder(tmp_path), "de", GERMAN)
    path.write_text("\ufeff" + path.read_text())
    assert words(tmp_path, "de").plain == "Hallo <Ada>\n"


def test_the_languages_of_a_folder(tmp_path):
    catalogue(tmp_path, "pt-BR", {})
    catalogue(tmp_path, "de", {})
    assert catalogue_languages(tmp_path) == ["de", "pt-BR"]


def test_a_version_changes_with_a_text_of_the_type_and_with_no_other(tmp_path):
    def version(lang="de"):
        return Templates(tmp_path).find("note", lang).version

    catalogue(folder(tmp_path), "de", GERMAN)
    first, english = version(), version("en")
    catalogue(tmp_path, "de", {**GERMAN, "Of another type": "Anderes"})
    assert (version(), version("en")) == (first, english)
    catalogue(tmp_path, "de", {**GERMAN, "Hello": "Servus"})
    assert version() != first
    assert version("en") == english
