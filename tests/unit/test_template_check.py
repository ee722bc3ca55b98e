"""Mistakes in a type's templates and route are named with the file, before anything is sent."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from deployments.doctor.types import route_faults, template_faults
from flows.order_confirmation import TYPE as ORDER
from flows.signup_verification import TYPE as SIGNUP
from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.policy.routing import unknown_words
from waypost.rendering.template_check import examine
from waypost.rendering.templates import Templates

OURS = Settings().templates


@pytest.fixture
def written(tmp_path):
    """Writes a file of the order's English templates; answers what is found wrong in them then."""
    folder = tmp_path / "templates"
    shutil.copytree(OURS, folder)

    def write(name, text, type=ORDER):
        path = folder / type.name / "en" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return examine(Templates(folder), type)

    return write


def test_those_that_ship_are_good():
    assert template_faults(Settings()) == []
    assert route_faults([]) == []


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
            "body.mjml: there is no MJML element mj-txt; it would be sent as it stands",
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


def test_what_an_included_file_uses_is_looked_at_too(tmp_path):
    folder = tmp_path / "templates"
    shutil.copytree(OURS, folder)
    footer = folder / "_layout" / "footer.mjml"
    footer.write_text(footer.read_text().replace("sender.name", "sendr.name"))
    faults = examine(Templates(folder), ORDER)
    assert {fault.partition(".mjml, ")[2] for fault in faults} == {
        "in what it includes: {{ sendr }} is unknown; is it sender?"
    }


def test_a_template_of_the_declaration_is_looked_at_too():
    [fault] = examine(Templates(OURS), replace(ORDER, reply_to="{{ oder_id }} <a@shop.example>"))
    assert fault == "reply_to of order-confirmation, line 1: {{ oder_id }} is unknown; is it order_id?"


def test_a_type_without_templates_is_told_where_they_go():
    [fault] = examine(Templates(OURS), replace(ORDER, name="parcel"))
    assert fault.startswith("templates/parcel/ is missing: add templates/parcel/en/ with subject.txt")


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
        (("email", "carrier-pigeon"), ["carrier-pigeon, a kind that no provider serves"]),
        (("email", "pager"), []),
        (("email:ses",), ["email:ses, and no provider is called ses"]),
        (("email:smtp",), []),
    ],
)
def test_a_route_that_leads_nowhere_is_named(route, said):
    available = [MemoryChannel("smtp"), MemoryChannel("texts", kind="*"), MemoryChannel("beep", kind="pager")]
    found = unknown_words(route, available)
    assert len(found) == len(said)
    assert all(fault.startswith(start) for fault, start in zip(found, said, strict=True))
