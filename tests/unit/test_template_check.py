"""Mistakes in a type's templates and route are named with the file, before anything is sent."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from pydantic import create_model
from support.project import FLOW, LIKE_ALERT
from typer.testing import CliRunner

from waypost import Facts
from waypost.channels.memory import MemoryChannel
from waypost.cli import app
from waypost.config.settings import Settings
from waypost.deployments.doctor.type_faults import faults_of, route_faults, template_faults
from waypost.deployments.registry import registered
from waypost.flows.order_confirmation import TYPE as ORDER
from waypost.flows.signup_verification import TYPE as SIGNUP
from waypost.policy.route_steps import unknown_words
from waypost.rendering.catalogue_update import update
from waypost.rendering.live_templates import Templates
from waypost.rendering.template_check import examine, hidden, left_out, scarce, untranslated
from waypost.rendering.template_files import PARTS
from waypost.rendering.template_names import IN_EVERY_TEMPLATE

OURS = Settings().template_folders[-1]


@pytest.fixture
def written(tmp_path):
    """Writes a file of the order's English templates; answers what is found wrong in them then."""
    folder = tmp_path / "templates"
    shutil.copytree(
        OURS, folder, ignore=shutil.ignore_patterns("es", "fr", "pt", "zh")
    )  # two languages will do

    def write(name, text, type=ORDER):
        path = folder / type.name / "en" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return examine(Templates(folder), type)

    return write


def test_those_that_ship_are_good():
    assert template_faults(Settings()) == []
    assert route_faults(registered().values(), []) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("body.txt", "a\n{{ oder_id }}\n", "body.txt, line 2: {{ oder_id }} is unknown; is it order_id?"),
        (
            "short.txt",
            "{{ recipient.nmae }}",
            "short.txt, line 1: {{ recipient.nmae }} is unknown; is it name?",
        ),
        ("short.txt", "{% if vip is defined %}Dear{% endif %}", "short.txt, line 1: {{ vip }} is unknown"),
        ("subject.txt", "{{ order_id", "subject.txt, line 1: "),
        (
            "body.mjml",
            "<mjml><mj-body><mj-section><mj-column><mj-txt>Hello</mj-txt></mj-column></mj-section></mj-body></mjml>",
            "body.mjml, line 1: unknown MJML element mj-txt; it would be sent unchanged",
        ),
        (
            "body.mjml",
            "<mjml><mj-body><mj-section><mj-column><mj-text>{{ oder_id }}</mj-text></mj-column></mj-section>"
            "</mj-body></mjml>",
            "body.mjml, line 1: {{ oder_id }} is unknown; is it order_id?",
        ),
    ],
)
def test_a_mistake_is_named_with_its_file(written, name, text, fault):
    [found] = written(name, text)
    assert found.startswith(f"templates/order-confirmation/en/{fault}")
    assert "\n" not in found


FRAME = (OURS / "_layout" / "frame.mjml").read_text()
SECTIONS = FRAME[: FRAME.index("<mj-section")].count("\n") + 1


@pytest.mark.parametrize(
    ("broken", "line", "said"),
    [
        (
            FRAME.replace("<mj-section", "<mj-sectoin").replace("</mj-section", "</mj-sectoin"),
            SECTIONS,
            "unknown MJML element mj-sectoin; it would be sent unchanged",
        ),
        (f"{FRAME}<broken", FRAME.count("\n") + 1, "<broken has no >"),
        (
            FRAME.replace("</mj-body>", "</mj-body"),
            FRAME[: FRAME.index("</mj-body>")].count("\n") + 1,
            "has no >",
        ),
        (FRAME.replace("</mj-body>", "<b></mj-body>"), 0, "<b> has no end tag"),
    ],
)
def test_a_fault_of_a_layout_is_told_once_of_the_layout(project, few_types, broken, line, said):
    project.template("_layout/frame.mjml", broken)
    [found] = template_faults(Settings())
    assert found.startswith(f"templates/_layout/frame.mjml, line {line or ''}")
    assert found.endswith(said)


@pytest.mark.parametrize(
    "text",
    [
        "{% set total = 1 %}{{ total }}{% for i in range(3) %}{{ i }}{{ loop.index }}{% endfor %}",
        "{{ recipient.name }} {{ sender.signature }} {{ count }} {{ lang }}",
        "<!-- <mj-txt> -->",
    ],
)
def test_what_is_right_is_not_found_fault_with(written, text):
    assert written("body.txt", text) == []


BREAK = "subject.txt: contains a line break or another control character; put it on one line"


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        "a\n\n\tb\n",
        "a\tb",
        "\x00a",
        "{{ order_id }}\n{{ order_id }}",
        'a{{ "\\n" }}b',
        "a\n{% if count > 1 %}b{% endif %}",
        "{% for line in lines %}\n{{ line.name }}\n{% endfor %}",
        "{% with a = 1 %}{{ a }}\n{% endwith %}b",
        "{% filter upper %}a\nb{% endfilter %}",
    ],
)
def test_a_subject_of_several_lines_is_named(written, text):
    assert written("subject.txt", text) == [f"templates/order-confirmation/en/{BREAK}"]


@pytest.mark.parametrize(
    "text",
    [
        "a\n",
        "\n a {{ order_id }} \n\n",
        "{% set a = 'b\\nc' %}\na\n",
        "{% if count > 1 %}\n{{ count }} orders\n{% elif count %}\nAn order\n{% else %}\nNone\n{% endif %}\n",
        "{% for line in lines %}{{ line.name }}, {% endfor %}and so on",
        "{# a\nb #}a",
    ],
)
def test_a_subject_of_one_line_is_right(written, text):
    assert written("subject.txt", text) == []


@pytest.mark.parametrize(
    "text", ["", "\n \n", "{% set a = 1 %}\n", "{# later #}", "{% if count %}{% endif %}"]
)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("subject.txt", "write the subject"),
        ("body.txt", "write the plain part of the mail"),
        ("short.txt", "write the short message"),
    ],
)
def test_an_empty_text_is_named(written, name, text, said):
    assert written(name, text) == [f"templates/order-confirmation/en/{name}: empty; {said}"]


@pytest.mark.parametrize(
    ("name", "route"), [("short.txt", ("email", "email:ses")), ("body.txt", ("sms", "chat"))]
)
def test_a_text_that_no_message_of_the_type_has_may_be_empty(written, name, route):
    assert written(name, "", replace(ORDER, route=route)) == []


@pytest.mark.parametrize("name", IN_EVERY_TEMPLATE)
def test_a_value_that_templates_cannot_see_is_named(name):
    why = "is hidden: every template has a value of that name; rename it"
    with_fact = replace(ORDER, facts=create_model("F", __base__=Facts, **{name: (str, ...)}))
    assert hidden(with_fact) == [f"the fact {name} of order-confirmation {why}"]
    assert hidden(replace(ORDER, minted=(name,))) == [f"the minted {name} of order-confirmation {why}"]
    assert hidden(replace(with_fact, finished=lambda facts: b"")) == []


def test_a_hidden_fact_is_named_with_the_file_of_its_type():
    order = registered()["order-confirmation"]
    facts = create_model("F", __base__=order.type.facts, count=(int, 1))
    [fault] = faults_of(replace(order, type=replace(order.type, facts=facts)), Templates(OURS))
    assert fault.startswith("flows/order_confirmation.py: the fact count of order-confirmation is hidden")


def test_a_fact_under_a_minted_name_is_named():
    [clause] = hidden(replace(ORDER, minted=("order_id",)))
    assert clause.startswith("the fact order_id of order-confirmation is hidden: the type mints a value")


def test_what_an_included_file_uses_is_looked_at_too(tmp_path):
    folder = tmp_path / "templates"
    shutil.copytree(OURS, folder)
    frame = folder / "_layout" / "frame.mjml"
    frame.write_text(frame.read_text().replace("sender.name", "sendr.name"))
    line = frame.read_text().partition("sendr")[0].count("\n") + 1
    faults = examine(Templates(folder), ORDER)
    assert set(faults) == {
        f"templates/_layout/frame.mjml, line {line}: {{{{ sendr }}}} is unknown; is it sender?"
    }


def test_a_template_of_the_declaration_is_looked_at_too():
    [fault] = examine(Templates(OURS), replace(ORDER, reply_to="{{ oder_id }} <a@shop.example>"))
    assert fault == "reply_to of order-confirmation: {{ oder_id }} is unknown; is it order_id?"


def test_a_type_without_templates_is_told_where_they_go():
    [fault] = examine(Templates(OURS), replace(ORDER, name="parcel"))
    assert fault.startswith("templates/parcel/ is missing: add it with subject.txt")


def test_what_a_type_mints_is_known_by_the_names_it_gives():
    assert examine(Templates(OURS), SIGNUP) == []
    assert examine(Templates(OURS), replace(SIGNUP, minted=())) == [], "which names there are is not told"
    faults = examine(Templates(OURS), replace(SIGNUP, minted=("link", "token", "minutes")))
    assert faults
    assert all("{{ code }} is unknown" in fault for fault in faults)


@pytest.mark.parametrize(
    ("route", "said"),
    [
        (("email", "sms", "chat"), []),
        (("email", "carrier-pigeon"), ["carrier-pigeon, but no provider serves this kind"]),
        (("email", "pager"), []),
        (("email:ses",), ["email:ses, but no provider is called ses"]),
        (("email:smtp",), []),
    ],
)
def test_a_route_that_leads_nowhere_is_named(route, said):
    available = [MemoryChannel("smtp"), MemoryChannel("texts", kind="*"), MemoryChannel("beep", kind="pager")]
    found = unknown_words(route, available)
    assert len(found) == len(said)
    assert all(fault.startswith(start) for fault, start in zip(found, said, strict=True))


def test_a_translation_that_does_not_fit_is_named_in_every_language(tmp_path):
    folder = tmp_path / "templates"
    shutil.copytree(OURS, folder)
    for lang in ("de", "fr"):
        file = folder / "_locales" / lang / "LC_MESSAGES" / "messages.po"
        text = file.read_text()
        at = text.index('\nmsgid "Order %(order)s confirmed"')
        file.write_text(
            text[:at] + text[at:].replace("%(order)s", "%(nummer)s", 2).replace("nummer", "order", 1)
        )
    faults = examine(Templates(folder), ORDER)
    assert len(faults) == 2
    assert all("%(nummer)s is no variable of this text" in fault for fault in faults)


def test_a_text_without_a_translation_is_named_once_for_each_language(tmp_path):
    folder = tmp_path / "templates"
    shutil.copytree(OURS, folder)
    for lang in ("de", "fr"):
        file = folder / "_locales" / lang / "LC_MESSAGES" / "messages.po"
        file.write_text(file.read_text().replace('msgid "Total"', 'msgid "Totals"'))
    found = [one for one in untranslated(Templates(folder), ORDER) if one.endswith("'Total'")]
    assert [one.partition(": ")[2] for one in found] == [
        f"no translation into {lang}: 'Total'" for lang in ("de", "fr")
    ]


def test_a_language_into_which_few_texts_are_translated_is_named(tmp_path):
    folder = tmp_path / "templates"
    shutil.copytree(OURS, folder)
    parcel = folder / "parcel"
    parcel.mkdir()
    for name in PARTS:
        (parcel / name).write_text('{{ _("Total") }}{{ _("A parcel") }}')
    type = replace(ORDER, name="parcel")
    assert untranslated(Templates(folder), type) == []
    [said] = left_out(Templates(folder), type)
    assert said.startswith("not sent in de, es, fr, pt, zh, as too few of its texts are translated")
    assert scarce(Templates(folder), type) == []
    assert left_out(Templates(folder), ORDER) == []


@pytest.mark.parametrize(
    ("made", "translated"),
    [('msgstr ""', 0), ('msgstr "Ein Paket"', 1)],
)
def test_a_language_that_somebody_has_begun_to_translate_a_type_into_is_a_fault(tmp_path, made, translated):
    folder = tmp_path / "templates"
    parcel = folder / "parcel"
    parcel.mkdir(parents=True)
    for name in PARTS:
        (parcel / name).write_text('{{ _("A parcel") }}{{ _("is here") }}')
    update(folder, "de")
    file = folder / "_locales" / "de" / "LC_MESSAGES" / "messages.po"
    file.write_text(file.read_text().replace('msgid "A parcel"\nmsgstr ""', f'msgid "A parcel"\n{made}', 1))
    type = replace(ORDER, name="parcel")
    assert scarce(Templates(folder), type) == [
        f"templates/_locales/de: parcel is not sent in de, as {translated} of its 2 texts are translated; "
        "translate more than half of them"
    ]
    assert left_out(Templates(folder), type) == []


BUTTONS = """{% extends "_layout/frame.mjml" %}
{% block title %}Refund{% endblock %}
{% block content %}
<mj-button css-class="button" href="https://harbour.com/1">Your order</mj-button>
<mj-button css-class="button" href="https://harbour.com/2">Your account</mj-button>
{% endblock %}
"""


def test_a_colour_of_a_brand_is_named_once_however_many_places_have_it(project, monkeypatch):
    project.template("refund/body.mjml", BUTTONS)
    brand = {"sender": "Acme <a@acme.example>", "accent": "#ffff00"}
    monkeypatch.setenv("WAYPOST_BRANDS", json.dumps({"acme": brand}))
    done = CliRunner().invoke(app, ["templates", "check", "refund", "--json"])
    of_brand = [one for one in json.loads(done.stdout) if one["finding"].startswith("brand acme: text")]
    assert [(one["file"], one["line"]) for one in of_brand] == [("templates/refund/body.mjml", 4)]


def test_a_broken_catalogue_is_a_fault_of_the_check_and_of_doctor(project, few_types):
    project.template(
        "_locales/de/LC_MESSAGES/messages.po", 'msgid ""\nmsgstr ""\n\nmsgid "Total"\nmsgstr "x\n'
    )
    said = (
        "templates/_locales/de/LC_MESSAGES/messages.po, line 5: neither a comment nor a text in quotes; "
        "until it is corrected, a worker that starts sends nothing in de"
    )
    assert said in template_faults(Settings())
    done = CliRunner().invoke(app, ["templates", "check", "alert", "--json"])
    place, _, finding = said.partition(", line 5: ")
    assert (done.exit_code, json.loads(done.stdout)[0]) == (
        1,
        {"level": "fault", "types": [], "locales": [], "file": place, "line": 5, "finding": finding},
    )


def check(*arguments):
    done = CliRunner().invoke(app, ["templates", "check", *arguments])
    return done.exit_code, " ".join(done.output.split())


def test_the_check_names_files_that_cannot_be_used_and_hidden_facts(project, few_types):
    hides = 'class F(Facts):\n    brand: str\nTYPE = replace(ALERT, name="mine", facts=F)\n'
    project.write(mine="from waypost import Facts\n" + LIKE_ALERT + hides + FLOW, other="import nothing_such")
    code, said = check()
    assert code == 1
    assert "flows/other.py cannot be loaded: ModuleNotFoundError" in said
    assert "flows/mine.py: the fact brand of mine is hidden" in said
    assert "flows/other.py" not in check("mine")[1]


def test_a_provider_or_brand_that_these_settings_lack_is_a_note_of_the_check(project):
    declared = 'TYPE = replace(ALERT, name="mine", route=("email:ses", "pigeon"), brand="acme")\n'
    project.write(mine=LIKE_ALERT + declared + FLOW)
    _, said = check("mine")
    assert "flows/mine.py: the route names email:ses, but no provider is called ses (note)" in said
    assert "flows/mine.py: the route names pigeon, but no provider serves this kind" in said
    assert "flows/mine.py: there is no brand acme; brands: default (note)" in said


def test_a_check_that_looked_at_no_mail_fails(project):
    project.write(mine=LIKE_ALERT + 'TYPE = replace(ALERT, name="mine")\n' + FLOW)
    home = Settings().template_folders[-1] / "alert"
    for part in ("subject.txt", "body.txt", "short.txt", "body.mjml"):
        project.template(f"mine/{part}", (home / part).read_text())
    code, said = check("mine")
    assert (code, "no faults" in said) == (1, True), said
    assert "mine has no sample: write templates/mine/sample.json" in said
    assert "1 type and no mails checked" in said
    assert "waypost: no mail was checked" in said
    project.template("mine/sample.json", (home / "sample.json").read_text())
    assert check("mine")[0] == 0


def test_a_check_without_a_type_fails(project, monkeypatch):
    monkeypatch.setenv("WAYPOST_SHIPPED_TYPES", "none")
    code, said = check()
    assert (code, "waypost: no type was checked" in said) == (1, True)
    assert check("nix")[0] == 1
