"""A project's folder: its types and templates beside the shipped, instead of them, and without them."""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.project import FLOW, LIKE_ALERT
from support.shipped_mails import LANGUAGES
from support.shipped_types import SHIPPED

from waypost.cli import startup_checks
from waypost.cli.errors import explained
from waypost.config.settings import Settings
from waypost.deployments import open_project
from waypost.deployments.deploy import described
from waypost.deployments.doctor import type_faults
from waypost.deployments.doctor.checks import type_findings
from waypost.deployments.doctor.providers import template_findings
from waypost.deployments.doctor.type_faults import faults_at_start, template_faults, template_origins
from waypost.deployments.registry import UnknownType, broken, find, present, registered, switched_off
from waypost.rendering.live_templates import Templates
from waypost.rendering.template_set import html_of

MINE = LIKE_ALERT + "TYPE = replace(ALERT, name='mine')\n" + FLOW
NEW_ALERT = LIKE_ALERT + "TYPE = replace(ALERT, batch_size=7)\n" + FLOW
REPOSITORY = Path(__file__).parents[2]


def test_the_projects_types_are_used_beside_the_shipped(project):
    project.write(mine=MINE)
    assert (set(registered()), broken()) == (SHIPPED | {"mine"}, [])
    assert (find("mine").file, find("mine").entrypoint) == ("flows/mine.py", "flows.mine.mine")
    assert find("alert").entrypoint == "waypost.flows.alert.alert"


def test_the_checkout_is_a_project_and_has_each_type_once(project, monkeypatch):
    monkeypatch.setenv("WAYPOST_PROJECT", str(REPOSITORY))
    project.look_again()
    assert (set(registered()) >= SHIPPED, broken(), switched_off()) == (True, [], [])
    assert (find("alert").file, find("alert").replaces) == ("flows/alert.py", "")
    assert open_project.steps(REPOSITORY) == []
    assert Settings().template_folders == (REPOSITORY / "waypost" / "templates",)


def test_its_files_import_each_other_and_its_modules(project):
    (project.folder / "prices.py").write_text("LIMIT = 7\n")
    project.write(
        base="from prices import LIMIT\n",
        mine="from .base import LIMIT\nfrom flows.base import LIMIT as SAME\n" + MINE,
    )
    assert broken() == []
    assert find("mine").file == "flows/mine.py"
    assert sys.path[-1] == str(project.folder)


def test_another_installed_flows_package_does_not_shadow_it(project, tmp_path, monkeypatch):
    other = tmp_path / "site" / "flows"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    (other / "mine.py").write_text("raise RuntimeError('the other')\n")
    monkeypatch.syspath_prepend(other.parent)
    importlib.import_module("flows")  # as a library might
    project.write(mine=MINE)
    assert (broken(), find("mine").file) == ([], "flows/mine.py")


@pytest.fixture
def installed(monkeypatch):
    """Waypost as pip installs it: no checkout is importable beside the package."""
    beside = [entry for entry in sys.path if (Path(entry) / "tasks").is_dir()]
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in beside])
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tasks", "deployments")]:
        monkeypatch.delitem(sys.modules, name)


def test_its_own_tasks_and_deployments_clash_with_nothing(project, installed):
    for name in ("tasks", "deployments"):
        (project.folder / name).mkdir()
        (project.folder / name / "__init__.py").write_text("TITLE = 'mine'\n")
    project.write(mine="from tasks import TITLE\nfrom deployments import TITLE as SAME\n" + MINE)
    assert (broken(), find("mine").entrypoint) == ([], "flows.mine.mine")
    assert set(registered()) == SHIPPED | {"mine"}


@pytest.mark.parametrize("own", [True, False])
def test_the_steps_imported_as_they_once_were_are_told(project, installed, own):
    if own:
        (project.folder / "tasks").mkdir()
        (project.folder / "tasks" / "__init__.py").write_text("")
    project.write(mine="from tasks import deliver\n" + MINE)
    [fault] = broken()
    assert fault.startswith("flows/mine.py cannot be loaded: ")
    assert fault.endswith("; import the steps from waypost.tasks; fix it")


def test_a_choice_that_there_is_not_is_told_with_the_choices_and_what_to_do_once(project):
    project.write(mine="from waypost import Category\nKIND = Category.URGENT\n" + MINE)
    [fault] = broken()
    choices = (
        "Category.SECURITY, Category.TRANSACTIONAL, Category.ALERT, Category.PRODUCT, Category.MARKETING"
    )
    assert fault.endswith(f"; there are {choices}; fix it")
    [_, types] = type_findings(Settings())
    assert not types.ok
    assert "; fix it" not in types.found
    assert types.advice.startswith("fix the file")


def test_a_shipped_type_imported_as_it_once_was_is_told(project):
    project.write(mine="from flows.alert import TYPE as ALERT\n")
    [fault] = broken()
    assert fault.endswith("; import the shipped type from waypost.flows.alert; fix it")


def test_a_type_of_the_project_replaces_the_shipped_type_of_its_name(project):
    project.write(ours=NEW_ALERT)
    assert (set(registered()), broken()) == (SHIPPED, [])
    assert find("alert").type.batch_size == 7
    assert (find("alert").file, find("alert").replaces) == ("flows/ours.py", "waypost/flows/alert.py")
    assert "alert (flows/ours.py, replaces the shipped type)" in type_findings(Settings())[1].found


def test_a_broken_file_named_like_a_shipped_type_leaves_that_type_out(project):
    project.write(alert="x = (\n", mine=MINE)
    assert set(registered()) == SHIPPED - {"alert"} | {"mine"}
    with pytest.raises(UnknownType, match=r"there is no type 'alert'.*flows/alert\.py cannot be loaded"):
        find("alert")


def test_of_two_files_that_replace_a_shipped_type_neither_is_used_nor_the_shipped(project):
    project.write(one=NEW_ALERT, two=NEW_ALERT)
    [fault] = broken()
    assert "flows/one.py and flows/two.py both declare the type 'alert'" in fault
    assert set(registered()) == SHIPPED - {"alert"}


@pytest.mark.parametrize(
    ("setting", "used"),
    [
        ("all", SHIPPED),
        ("none", set()),
        ("message, order-confirmation", {"message", "order-confirmation"}),
        ("digest", {"digest"}),
        ("alert", {"alert", "digest"}),
    ],
)
def test_a_setting_switches_shipped_types_off(project, monkeypatch, setting, used):
    monkeypatch.setenv("WAYPOST_SHIPPED_TYPES", setting)
    project.write(parcel="")
    assert (set(registered()), broken()) == (used, [])
    assert set(switched_off()) == SHIPPED - used


def test_the_digest_comes_with_a_type_whose_requests_may_wait_for_it(project, monkeypatch):
    monkeypatch.setenv("WAYPOST_SHIPPED_TYPES", "none")
    project.write(mine=NEW_ALERT)
    assert set(registered()) == {"alert", "digest"}


def test_a_shipped_type_that_there_is_not_is_told(project, monkeypatch):
    monkeypatch.setenv("WAYPOST_SHIPPED_TYPES", "alert,orders")
    project.look_again()
    [fault] = broken()
    assert "WAYPOST_SHIPPED_TYPES: there is no shipped type 'orders'; write all, none, or some of" in fault
    assert set(registered()) == {"alert", "digest"}


def test_a_project_without_flows_is_noted(project):
    [where, types] = type_findings(Settings())
    assert (where.ok, types.ok) == (True, True)
    assert where.found == f"{project.folder} has no flows/: only the shipped types are used"
    assert "WAYPOST_PROJECT" in where.advice
    with pytest.raises(UnknownType, match=f"{project.folder} has no flows/"):
        find("parcel")


def test_the_doctor_tells_where_each_type_and_its_templates_come_from(project, monkeypatch):
    monkeypatch.setenv("WAYPOST_SHIPPED_TYPES", "alert,order-confirmation")
    project.write(mine=MINE)
    for part in ("subject.txt", "body.txt", "body.mjml", "short.txt"):
        project.template(f"mine/en/{part}", "<mjml></mjml>" if part == "body.mjml" else "A")
    project.template("alert/de/subject.txt", "Alarm")
    [_, types] = type_findings(Settings())
    assert types.found == (
        "mine (flows/mine.py); shipped: alert, digest, order-confirmation; "
        f"switched off: {', '.join(sorted(SHIPPED - {'alert', 'digest', 'order-confirmation'}))}"
    )
    assert template_findings(Settings()).found == (
        f"{project.folder}/templates; the project's and shipped: alert; shipped: digest, order-confirmation; "
        "the project's: mine"
    )


@pytest.mark.parametrize("name", ["project", "templates"])
def test_a_setting_that_names_no_folder_is_told(project, monkeypatch, name):
    monkeypatch.setenv(f"WAYPOST_{name.upper()}", "/nowhere/at/all")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert explained(refused.value) == (
        f"WAYPOST_{name.upper()}: the folder /nowhere/at/all cannot be read (No such file or directory)"
    )


@pytest.mark.parametrize("name", ["flows", "templates"])
def test_a_folder_that_cannot_be_read_is_told(project, name):
    project.write(mine=MINE)
    project.template("mine/en/subject.txt", "Mine")
    folder = project.folder / name
    folder.chmod(0o000)
    for above in project.folder.parents:
        if above.stat().st_uid == os.geteuid() and above != Path(tempfile.gettempdir()):
            above.chmod(above.stat().st_mode | 0o055)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root reads every folder
    try:
        if name == "templates":
            with pytest.raises(ValidationError, match="cannot be read"):
                Settings()
        else:
            project.look_again()
            [fault] = broken()
            assert fault == f"{folder} cannot be read (Permission denied): let this user read the folder"
            assert set(registered()) == SHIPPED
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


def test_a_file_where_flows_should_be_is_told(project):
    (project.folder / "flows").write_text("")
    project.look_again()
    [fault] = broken()
    assert fault.startswith(f"{project.folder}/flows cannot be read (Not a directory)")
    assert set(registered()) == SHIPPED


def test_an_init_file_that_fails_is_told(project):
    project.write(__init__="raise RuntimeError('so')\n", mine=MINE)
    [fault] = broken()
    assert fault == "flows/__init__.py cannot be loaded: RuntimeError in line 1 (so); fix it"
    assert set(registered()) == SHIPPED


@pytest.mark.parametrize(
    ("entrypoint", "now"),
    [
        ("flows.alert.alert", "waypost.flows.alert.alert"),
        ("flows.mine.mine", "flows.mine.mine"),
        ("waypost.flows.alert.alert", "waypost.flows.alert.alert"),
        ("flows.gone.gone", "flows.gone.gone"),
        ("support.note_flow.note", "support.note_flow.note"),
    ],
)
def test_a_deployment_made_before_finds_its_shipped_flow(project, entrypoint, now):
    project.write(mine=MINE)
    assert present(entrypoint) == now


def test_shipped_types_run_though_the_projects_folder_cannot_be_loaded(project):
    project.write(__init__="raise RuntimeError('so')\n", alert=NEW_ALERT)
    assert present("flows.alert.alert") == "waypost.flows.alert.alert"
    assert present("waypost.flows.alert.alert") == "waypost.flows.alert.alert"
    assert open_project.open_project(str(project.folder)) == {"directory": str(project.folder)}


def test_a_deployment_of_a_shipped_name_finds_the_projects_file_first(project):
    project.write(alert=NEW_ALERT)
    assert present("flows.alert.mine") == "flows.alert.mine"


@pytest.mark.parametrize(
    ("files", "now"),
    [
        ({"alert": MINE}, "waypost.flows.alert.alert"),
        ({"alert": "LIMIT = 7\n"}, "waypost.flows.alert.alert"),
        ({"alert": "1/0\n"}, "flows.alert.alert"),
        ({"alerts_of_ours": NEW_ALERT}, "flows.alerts_of_ours.mine"),
        ({"alert": "LIMIT = 7\n", "alerts_of_ours": NEW_ALERT}, "flows.alerts_of_ours.mine"),
    ],
)
def test_a_deployment_made_before_finds_the_type_whatever_its_file_is_called(project, files, now):
    project.write(**files)
    assert present("flows.alert.alert") == now


def test_of_a_type_that_lacks_what_the_shipped_templates_use_one_sentence_tells(project, few_types):
    facts = "from waypost import Facts\nclass Own(Facts):\n    severity: str\n"
    project.write(mine=LIKE_ALERT + facts + "TYPE = replace(ALERT, facts=Own)\n" + FLOW)
    [fault] = template_faults(Settings())
    assert fault.startswith(
        "flows/mine.py replaces the shipped type alert and uses its templates, which need "
    )
    assert re.search(r"need \w+, \w+, \w+ and \d more: write templates", fault)


@pytest.mark.parametrize(
    "file",
    [
        "alert/subject.txt",
        "alert/de/short.txt",
        "digest/severity.txt",
        "_layout/frame.mjml",
        "_locales/de/LC_MESSAGES/messages.po",
    ],
)
def test_a_start_tells_what_a_project_breaks_of_the_shipped_types(project, few_types, file):
    project.template(file, "{{ nobody_knows")
    assert faults_at_start(Settings()) == template_faults(Settings()) != []


@pytest.mark.parametrize("name", ["_layout", "_locales", "alert", "alert/de", "alert/subject.txt"])
def test_a_command_starts_whatever_of_the_templates_cannot_be_read(project, few_types, capsys, name):
    link = project.folder / "templates" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("x" * 300)  # no file can have a name so long
    startup_checks.warn(Settings())
    template_origins(Settings())
    told = capsys.readouterr().err
    assert "could not be checked" in told or "templates/" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "text", ["{{ " + "(" * 300 + "1" + ")" * 300 + " }}", "{% if 1 %}" * 400 + "{% endif %}" * 400]
)
def test_templates_that_nest_too_deep_are_told_at_a_start_and_by_the_doctor(project, few_types, capsys, text):
    project.template("alert/subject.txt", text)
    startup_checks.warn(Settings())
    assert "templates/alert/subject.txt" in capsys.readouterr().err
    assert [said for said in template_faults(Settings()) if said.startswith("templates/alert/subject.txt")]


def test_a_start_checks_no_type_that_is_as_it_was_shipped(project, monkeypatch):
    project.write(mine=MINE)
    project.template("alert/subject.txt", "changed")
    checked = []
    monkeypatch.setattr(type_faults, "faults_of", lambda one, _: checked.append(one.type.name) or [])
    assert faults_at_start(Settings()) == []
    assert sorted(checked) == ["alert", "mine"]


def test_only_the_first_faults_of_a_types_templates_are_listed(project, few_types):
    project.write(mine=MINE)
    for lang in ("de", "en", "es", "fr"):
        write(project, "mine", lang, "subject.txt", "short.txt", "body.mjml")
        project.template(f"mine/{lang}/body.txt", "{{ one }} {{ two }} {{ three }}")
    faults = template_faults(Settings())
    assert len(faults) == 7
    assert faults[-1] == "flows/mine.py: the templates have 6 more faults"


@pytest.mark.parametrize(
    ("name", "digest", "told"),
    [
        ("digest", False, "which is a digest, by no digest: rename the type, or declare it with digest=True"),
        ("alert", True, "which is no digest, by a digest: rename the type, or declare it with digest=False"),
    ],
)
def test_a_type_that_would_strand_what_waits_is_told_and_the_shipped_type_stays(project, name, digest, told):
    text = f"TYPE = replace(ALERT, name={name!r}, digest={digest})\n"
    project.write(ours=LIKE_ALERT + text + FLOW)
    assert broken() == [f"flows/ours.py replaces the shipped type {name}, {told}"]
    assert find(name).source.shipped
    [_, types] = type_findings(Settings())
    assert not types.ok


def test_where_nothing_waits_a_type_may_have_the_name_of_the_digest(project, monkeypatch):
    own = "from waypost import Category, Request\n" + LIKE_ALERT
    text = "TYPE = replace(ALERT, name='digest', category=Category.TRANSACTIONAL, request=None)\n"
    monkeypatch.setenv("WAYPOST_SHIPPED_TYPES", "none")
    project.write(ours=own + text + FLOW)
    assert (broken(), set(registered())) == ([], {"digest"})


def test_workers_of_other_types_open_the_project_first(project, tmp_path, monkeypatch):
    project.write(mine=MINE)
    [step] = described("pool", find("mine"))["pull_steps"]
    [(name, inputs)] = step.items()
    assert name == "waypost.deployments.open_project.open_project"
    monkeypatch.chdir(tmp_path)
    assert open_project.open_project(**inputs) == {"directory": str(project.folder)}
    monkeypatch.delenv("WAYPOST_PROJECT")
    assert open_project.open_project(**inputs) == {"directory": str(project.folder)}
    monkeypatch.setenv("WAYPOST_PROJECT", str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="set WAYPOST_PROJECT for the worker"):
        open_project.open_project(**inputs)


def write(project, type, lang, *parts):
    for part in parts:
        project.template(f"{type}/{lang}/{part}", "<mjml></mjml>" if part.endswith("mjml") else "Mine")


def test_a_file_of_the_project_replaces_the_shipped_file_of_its_path(project):
    write(project, "alert", "de", "subject.txt")
    templates = Templates(Settings().template_folders)
    assert templates.languages("alert") == list(LANGUAGES)
    assert templates.find("alert", "de").subject.template.render() == "Mine"
    assert "severity" in templates.parts("alert", "en")["subject.txt"].text
    files = templates.files
    assert files.display(files.part("alert", ["de"], "subject.txt")) == "templates/alert/de/subject.txt"
    assert files.display(files.part("alert", ["de"], "body.txt")) == "waypost/templates/alert/body.txt"


def test_a_whole_language_of_the_project_replaces_the_shipped_templates(project):
    write(project, "alert", "it", "subject.txt", "body.txt", "body.mjml", "short.txt")
    write(project, "alert", "de", "subject.txt")
    templates = Templates(Settings().template_folders)
    assert templates.languages("alert") == ["de", "it"]
    assert templates.languages("digest") == list(LANGUAGES)


def test_the_project_uses_shipped_layouts_and_replaces_single_layouts(project):
    page = (
        '{% extends "_layout/frame.mjml" %}{% block content %}'
        '<mj-text>{% include "_layout/greeting.txt" %}</mj-text>{% endblock %}'
    )
    write(project, "mine", "en", "subject.txt", "body.txt", "short.txt")
    project.template("mine/en/body.mjml", page)
    project.template("_layout/greeting.txt", "Ahoy")
    for type in ("mine", "order-confirmation"):
        templates = Templates(Settings().template_folders)
        compiled = html_of(templates.files, templates.parts(type, "en")["body.mjml"])
        assert "Ahoy" in compiled
        assert "prefers-color-scheme" in compiled


def test_a_layout_outside_the_folders_is_not_read(project):
    (project.folder / "secret.mjml").write_text("<mj-text>secret</mj-text>")
    write(project, "mine", "en", "subject.txt", "body.txt", "short.txt")
    project.template("mine/en/body.mjml", '<mjml><mj-body>{% include "../secret.mjml" %}</mj-body></mjml>')
    with pytest.raises(ValueError, match="must stay inside"):
        Templates(Settings().template_folders).find("mine", "en")


@pytest.mark.parametrize("broken_file", ["alert_of_ours", "__init__"])
def test_a_shipped_type_does_not_take_over_for_a_file_that_is_broken(project, broken_file):
    """The project's own facts would not fit it: what was accepted would fail."""
    files = {"alert_of_ours": LIKE_ALERT + 'TYPE = replace(ALERT, name="alert")\n' + FLOW, "__init__": ""}
    project.write(**{**files, broken_file: files[broken_file] + "\n1/0\n"})
    project.look_again()
    assert set(registered()) == SHIPPED - {"alert"}
    assert "ZeroDivisionError" in broken()[0]
