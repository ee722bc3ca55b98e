"""`waypost new` writes a type that works at once, and refuses names that are wrong or taken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from support.project import FLOW, LIKE_ALERT, project_in

from waypost.config.settings import Settings
from waypost.deployments import new_type, prefect_yaml
from waypost.deployments.doctor.type_faults import template_faults
from waypost.deployments.new_type import NoNewType
from waypost.deployments.registry import broken, find
from waypost.deployments.skeleton_files import NewFile, write
from waypost.preview.rendered import Previews
from waypost.rendering.samples import sample_of

FILES = {
    "flows/seat_reserved.py",
    "tests/test_seat_reserved.py",
    *(
        f"templates/seat-reserved/{part}"
        for part in ("subject.txt", "body.txt", "body.mjml", "short.txt", "sample.json")
    ),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    with project_in(tmp_path / "project", monkeypatch) as made:
        made.write()
        yield made


def files(project):
    made = (file for file in project.folder.rglob("*") if "__pycache__" not in file.parts)
    return {str(file.relative_to(project.folder)) for file in made} - {"flows"}


def test_the_files_of_a_type_are_written_and_work(project):
    assert {str(path) for path in new_type.make("seat-reserved")} == FILES
    project.look_again()
    one = find("seat-reserved")
    assert (one.file, broken(), template_faults(Settings())) == ("flows/seat_reserved.py", [], [])
    facts = one.type.facts.model_validate(
        sample_of("seat-reserved", Settings().template_folders, Settings().default_sender).facts
    )
    assert facts.reference == "1042"
    assert len((project.folder / one.file).read_text().splitlines()) < 40


def test_the_plain_text_of_a_new_type_has_a_blank_line_between_its_parts(project):
    new_type.make("seat-reserved")
    project.look_again()
    shown = asyncio.run(Previews(Settings()).of(find("seat-reserved").type, "en"))
    said = "Hello Ada Lovelace,||Seat reserved: 1042||  https://shop.example/1042||-- |Waypost"
    assert shown.text.splitlines() == said.split("|")


def test_templates_go_where_the_setting_says(project, tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    monkeypatch.setenv("WAYPOST_TEMPLATES", str(tmp_path / "texts"))
    new_type.make("seat-reserved")
    assert (tmp_path / "texts" / "seat-reserved" / "body.mjml").is_file()
    assert not (project.folder / "templates").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Seat_Reserved", r"'Seat_Reserved' cannot name a type \(did you mean seat-reserved\?\): write it "),
        ("SeatReserved", "did you mean seat-reserved"),
        ("../alert", "did you mean alert"),
        ("", "'' cannot name a type: write it in kebab-case"),
        ("a--b", "did you mean a-b"),
        ("x" * 41, "40 at most"),
        ("waypost-retry", "'waypost-retry' is reserved: Waypost has a deployment"),
        ("seat-failures", "is reserved: Waypost has a deployment or a table"),
        ("class", "'class' is reserved: it is a word of Python"),
        ("report", "'report' is reserved: a type's file imports report"),
        ("alert", "the type alert is there already, in waypost/flows/alert.py; nothing was written"),
    ],
)
def test_names_that_no_new_type_can_have_are_refused(project, name, said):
    with pytest.raises(NoNewType, match=said):
        new_type.make(name)
    assert files(project) == set()


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("flows/seat_reserved.py", "flows/seat_reserved.py is there already"),
        ("flows/seat_reserved/__init__.py", "flows/seat_reserved is there already"),
        ("tests/test_seat_reserved.py", "tests/test_seat_reserved.py is there already"),
        ("templates/seat-reserved/short.txt", "templates/seat-reserved/short.txt is there already"),
        ("templates/seat-reserved/de/short.txt", "templates/seat-reserved is there already"),
    ],
)
def test_nothing_is_written_beside_a_file_that_is_there(project, there, said):
    path = project.folder / there
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    before = files(project)
    with pytest.raises(NoNewType, match=said):
        new_type.make("seat-reserved")
    assert (files(project), path.read_text()) == (before, "")


def test_a_name_that_another_file_declares_is_taken(project):
    project.write(mine=LIKE_ALERT + "TYPE = replace(ALERT, name='seat-reserved')\n" + FLOW)
    with pytest.raises(NoNewType, match=r"type seat-reserved is there already, in flows/mine\.py"):
        new_type.make("seat-reserved")


def test_a_folder_without_flows_is_no_project(project):
    (project.folder / "flows").rmdir()
    with pytest.raises(NoNewType, match="has no flows/: go to the folder of your project"):
        new_type.make("seat-reserved")


def test_what_was_written_goes_if_a_file_cannot_be_written(project):
    (project.folder / "tests").write_text("a file")
    with pytest.raises(OSError, match="tests"):
        new_type.make("seat-reserved")
    assert {name for name in files(project) if (project.folder / name).is_file()} == {"tests"}


def test_the_projects_prefect_yaml_gets_the_type(project):
    assert prefect_yaml.add(project.folder, "seat-reserved") is None
    file = project.folder / "prefect.yaml"
    skeleton = Path(prefect_yaml.__file__).parent / "skeleton" / "prefect.yaml.tmpl"
    file.write_text("# Ours.\n" + skeleton.read_text().rstrip())
    for type in ("seat-reserved", "back-in-stock"):
        assert prefect_yaml.add(project.folder, type)
    read = yaml.safe_load(file.read_text())
    assert [one["name"] for one in read["deployments"]] == [
        "parcel-shipped",
        "seat-reserved",
        "back-in-stock",
    ]
    assert read["deployments"][1] == {
        "name": "seat-reserved",
        "entrypoint": "flows/seat_reserved.py:seat_reserved",
        "tags": ["waypost"],
        "work_pool": {"name": "waypost", "work_queue_name": "normal"},
    }
    assert file.read_text().startswith("# Ours.\n")


def test_a_prefect_yaml_that_cannot_be_read_stays_as_it_is(project):
    file = project.folder / "prefect.yaml"
    file.symlink_to("x" * 300)  # no file can have a name so long
    assert prefect_yaml.add(project.folder, "seat-reserved") is False
    assert file.is_symlink()


@pytest.mark.parametrize(
    "text",
    [
        "deployments:\n- {name: a}\n...\n",
        "deployments:\n  - name: a\n'pull': []\n",
        "deployments:\n  - name: a\npull : []\n",
        "",
        "name: ours\n",
        "deployments: []\n",
        "deployments:\n  - name: mine\npull: null\n",
        "- name: mine\n",
    ],
)
def test_a_prefect_yaml_of_another_shape_stays_as_it_is(project, text):
    file = project.folder / "prefect.yaml"
    file.write_text(text)
    assert prefect_yaml.add(project.folder, "seat-reserved") is False
    assert file.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "deployments:\n  - name: a\n    job_variables:\n      env:\n        - name: F\n          value: 1\n",
        "deployments:\n  - name: a\n    description: |+\n      - name: x\n\n\n",
        "deployments:\n- name: a\n  schedules:\n    - name: s\n",
        "deployments:\r\n  - name: a\r\n",
    ],
)
def test_the_type_is_a_deployment_whatever_lists_the_last_one_has(project, text):
    file = project.folder / "prefect.yaml"
    file.write_bytes(text.encode())
    assert prefect_yaml.add(project.folder, "seat-reserved") is True
    assert prefect_yaml.add(project.folder, "seat-reserved") is None, "it is there"
    written = file.read_bytes().decode()
    assert written.startswith(text)
    assert ("\r\n" in text) == (written.count("\r\n") == written.count("\n"))
    assert [one["name"] for one in yaml.safe_load(written)["deployments"]] == ["a", "seat-reserved"]


def test_what_cannot_be_written_whole_leaves_no_folder_behind(tmp_path):
    (tmp_path / "tests").write_text("in the way")
    files = [NewFile(Path("templates/one/a.txt"), ""), NewFile(Path("tests/b.py"), "")]
    with pytest.raises(OSError, match="tests"):
        write(tmp_path, files)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["tests"]
