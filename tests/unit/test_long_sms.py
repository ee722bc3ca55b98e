"""The SMS of a type's sample is counted in every language, before anything is sent."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from support.templates import catalogue

from waypost.cli.renderers import renderers
from waypost.config.settings import Settings
from waypost.flows.sign_in_code import TYPE
from waypost.rendering.checks.finding import Finding, Level
from waypost.rendering.checks.long_sms import long_sms
from waypost.rendering.live_templates import Templates

OURS = Settings().template_folders[-1]


@pytest.fixture
def found(tmp_path):
    """What is found in a type whose project has these files."""

    def look(type=TYPE, **files):
        folder = tmp_path / "templates"
        shutil.copytree(OURS / "sign-in-code", folder / "sign-in-code", dirs_exist_ok=True)
        for name, text in files.items():
            (folder / "sign-in-code" / name.replace("_", ".")).write_text(text)
        return list(long_sms(renderers(Settings(), Templates((folder, OURS)))("default", type.route), type))

    return look


def test_the_shipped_samples_are_of_usual_length(found):
    assert found() == []


def test_a_long_sample_is_told_in_the_language_that_is_long(found, tmp_path):
    catalogue(tmp_path / "templates", "de", {"Welcome": "жя " * 73 + "жя"})
    said = (
        "the SMS of the sample takes 4 segments (221 UCS-2 characters), more than the limit of 3; UCS-2 is "
        "needed for ж (U+0436), я (U+044F); shorten it, or allow it with sms_segments of sign-in-code"
    )
    file = "templates/sign-in-code/short.txt"
    assert found(short_txt="{{ _('Welcome') }}") == [
        ("sign-in-code", "de", Finding(Level.NOTE, file, 0, said))
    ]
    assert found(replace(TYPE, sms_segments=4), short_txt="{{ _('Welcome') }}") == []


def test_a_limit_of_the_type_counts_for_its_sample(found):
    [(_, _, told), *_] = found(replace(TYPE, sms_segments=1), short_txt="a" * 161)
    assert told.said.endswith("takes 2 segments (161 GSM characters), more than the limit of 1; shorten it")
    assert told.level is Level.FAULT


@pytest.mark.parametrize("type", [replace(TYPE, route=("email",)), replace(TYPE, route=("chat",))])
def test_only_an_sms_has_segments(found, type):
    assert found(type, short_txt="a" * 1000) == []


@pytest.mark.parametrize(
    "files", [{"sample_json": "{}"}, {"sample_json": '{"facts": {}}'}, {"short_txt": "{{ x }}"}]
)
def test_a_sample_that_does_not_render_is_not_counted(found, files):
    assert found(**files) == []
