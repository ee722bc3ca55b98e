"""A folder of a language that no recipient ever gets is named, with the name that it should have."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from waypost.cli import app
from waypost.config.settings import Settings
from waypost.deployments.registry import registered
from waypost.flows.order_confirmation import TYPE as ORDER
from waypost.model.locale import locales
from waypost.rendering.language_folders import misnamed_catalogues, misnamed_parts
from waypost.rendering.template_files import TemplateFiles

NOTE = replace(ORDER, name="note")


def of_type(path, name, part="subject.txt"):
    (path / "note" / name).mkdir(parents=True)
    (path / "note" / name / part).write_text("x")
    return [(one.level, one.file, one.said) for one in misnamed_parts(TemplateFiles([path]), NOTE)]


def of_catalogue(path, name):
    (path / "_locales" / name / "LC_MESSAGES").mkdir(parents=True)
    return [(one.level, one.file, one.said) for one in misnamed_catalogues(TemplateFiles([path]))]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pt_BR", "pt-BR"),
        ("en_US.UTF-8", "en-US"),
        ("de.UTF-8", "de"),
        ("de_AT@euro", "de-AT"),
        ("zh_CN", "zh-CN"),
        ("pt-br", "pt-BR"),
        ("DE", "de"),
    ],
)
def test_a_locale_of_another_spelling_is_named_with_the_right_one(tmp_path, name, meant):
    [(level, file, said)] = of_type(tmp_path, name)
    assert (level, file) == ("fault", f"templates/note/{name}")
    assert said.endswith(f"; rename it to {meant}")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pt-BR", "pt_BR"),
        ("en_US.UTF-8", "en_US"),
        ("de@x", "de"),
        ("zh-Hans-CN", "zh_Hans_CN"),
        ("DE", "de"),
    ],
)
def test_a_catalogue_of_another_spelling_is_named_with_the_right_one(tmp_path, name, meant):
    [(level, file, said)] = of_catalogue(tmp_path, name)
    assert (level, file) == ("fault", f"templates/_locales/{name}")
    assert said.endswith(f"; rename it to {meant}")


@pytest.mark.parametrize("name", ["tlh", "xx_XX", "de_US", "old", "no such", "de_AT_x_y"])
def test_a_folder_that_is_no_locale_is_a_note(tmp_path, name):
    for [(level, file, said)] in (of_type(tmp_path, name), of_catalogue(tmp_path, name)):
        assert (level, file.rpartition("/")[2]) == ("note", name)
        assert said.startswith(f"{name} is no locale")


def test_every_locale_may_have_a_folder(tmp_path):
    for lang in {*locales(), "zh-CN", "zh-TW", "zh-Hans", "sr"}:
        (tmp_path / "note" / lang).mkdir(parents=True)
        (tmp_path / "note" / lang / "subject.txt").touch()
        (tmp_path / "_locales" / lang.replace("-", "_")).mkdir(parents=True)
    files = TemplateFiles([tmp_path])
    assert (misnamed_parts(files, NOTE), misnamed_catalogues(files)) == ([], [])


def test_a_folder_without_parts_is_none_of_a_language(tmp_path):
    assert of_type(tmp_path, "parts_of", "frame.mjml") == []
    assert misnamed_catalogues(TemplateFiles([tmp_path / "none"])) == []


def test_those_that_ship_are_right():
    files = TemplateFiles(Settings().template_folders)
    assert misnamed_catalogues(files) == []
    assert [said for one in registered().values() for said in misnamed_parts(files, one.type)] == []


def test_the_check_tells_of_them(project):
    for lang in ("pt_BR", "en_US.UTF-8"):
        project.template(f"refund/{lang}/subject.txt", "Refund")
    project.template("_locales/tlh/LC_MESSAGES/messages.po", 'msgid "Total"\nmsgstr "naQ"\n')
    done = CliRunner().invoke(app, ["templates", "check", "refund", "--json"])
    told = {one["file"]: one for one in json.loads(done.stdout)}
    assert done.exit_code == 1
    assert told["templates/refund/pt_BR"]["finding"].endswith("rename it to pt-BR")
    assert told["templates/refund/pt_BR"]["types"] == ["refund"]
    assert told["templates/refund/en_US.UTF-8"]["finding"].endswith("rename it to en-US")
    assert told["templates/_locales/tlh"]["level"] == "note"
