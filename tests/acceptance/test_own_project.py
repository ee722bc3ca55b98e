"""A team's own project beside Waypost as pip installs it: made, tested, sent from, run by other workers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from chaos.servers import ENDED, end, launch
from support.processes import command, environment, eventually, start
from support.wheels import built, environment_with, site_packages

pytestmark = pytest.mark.long

TYPE = "parcel-shipped"
REQUEST = {
    "recipient": {"id": "bob", "email": "bob@buyer.example"},
    "data": {"reference": "8", "url": "https://track.example/8"},
}


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of an environment with Waypost's wheel."""
    folder = tmp_path_factory.mktemp("installed")
    return environment_with(folder / "venv", built(folder / "wheel"))


@pytest.fixture(scope="module")
def project(python, tmp_path_factory) -> Path:
    """What `waypost init` makes."""
    folder = tmp_path_factory.mktemp("work") / "shop"
    done = run(python, folder.parent, "init", "shop")
    assert done.returncode == 0, done.stderr
    return folder


def run(python, folder, *arguments, **more):
    """Run a command in `folder`."""
    return subprocess.run(
        command(*arguments, python=str(python)),
        env=environment(folder / ".waypost", **clean(more)),
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def clean(more):
    return {"PYTHONPATH": "", "WAYPOST_SHIPPED_TYPES": "all", **more}


def test_pip_puts_no_general_names_into_site_packages(python):
    ours = {path.name for path in site_packages(python.parents[1]).iterdir()}
    assert ours - {"others.pth"} == {"waypost", *(name for name in ours if name.endswith(".dist-info"))}


def test_a_wheel_made_from_the_sdist_is_the_same(tmp_path):
    sdist = built(tmp_path / "sdist", kind="sdist")
    shutil.unpack_archive(sdist, tmp_path / "unpacked")
    [source] = (tmp_path / "unpacked").iterdir()
    wheels = built(tmp_path / "first"), built(tmp_path / "second", source)
    for wheel in wheels:
        shutil.unpack_archive(wheel, tmp_path / wheel.parent.name / "files", "zip")
    listed = [
        {str(path.relative_to(wheel.parent)) for path in wheel.parent.rglob("*") if path.is_file()}
        - {wheel.name}
        for wheel in wheels
    ]
    assert listed[0] == listed[1]


def passed(python, project, tests):
    """Run the project's own tests."""
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(project)],
        env=environment(project / "home", **clean({})),
        cwd=project, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tests} passed" in done.stdout


def test_a_new_project_passes_its_own_test(python, project):
    passed(python, project, 3)


def test_a_new_project_is_written_as_we_write(project):
    ruff = [sys.executable, "-m", "ruff"]
    for check in (["check", "--select", "E,F,I,UP,W"], ["format", "--check"]):
        done = subprocess.run([*ruff, *check, "--isolated", "."], cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_a_new_project_is_made_in_an_empty_folder_only(python, project):
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    done = run(python, project, "init")
    assert done.returncode == 1
    assert f"{project} is not empty" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")}.items() >= before.items()
    beside = run(python, project, "init", "README.md")
    assert (beside.returncode, "README.md is a file" in beside.stderr) == (1, True)


def test_a_folder_with_an_environment_and_git_is_empty(python, tmp_path):
    for name in (".venv", ".git"):
        (tmp_path / name).mkdir()
    assert run(python, tmp_path, "init").returncode == 0
    assert (tmp_path / "flows" / "parcel_shipped.py").exists()


def test_secrets_are_the_projects_own_and_for_its_owner(python, project, tmp_path):
    other = tmp_path / "other"
    run(python, tmp_path, "init", "other")
    texts = [(folder / ".env").read_text().splitlines() for folder in (project, other)]
    secrets = [[line for line in text if "KEY=" in line or "PASSWORD=" in line] for text in texts]
    assert len(secrets[0]) == 2
    assert not set(secrets[0]) & set(secrets[1])
    assert (project / ".env").stat().st_mode & 0o077 == 0
    assert (project / "flows" / "parcel_shipped.py").stat().st_mode & 0o044 == 0o044
    values = [line.partition("=")[2] for line in secrets[0]]
    others = [path for path in project.rglob("*") if path.is_file() and path.name != ".env"]
    assert not [path for path in others for value in values if value in path.read_text(errors="replace")]


def test_the_compose_file_is_valid(project):
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("no docker compose: its file is not checked")
    shown = subprocess.run(
        [docker, "compose", "config", "--format", "json"], cwd=project, capture_output=True
    )
    assert shown.returncode == 0, shown.stderr
    assert {"postgres", "prefect", "gateway", "worker"} <= json.loads(shown.stdout)["services"].keys()


@pytest.fixture(scope="module")
def up(python, project):
    started = start(project / ".waypost", python=str(python), **clean({}))
    yield started
    assert started.stop() == 0


def test_a_new_project_sends_a_mail_of_its_type(python, project, up):
    sent = run(python, project, "send", TYPE, "--from", "parcels.jsonl")
    assert sent.returncode == 0, sent.stdout + sent.stderr
    [mail] = up.mails("ada@buyer.example")
    assert mail["Subject"] == "Parcel shipped: 7"


def test_the_doctor_finds_all_well_in_a_new_project(python, project, up):
    done = run(python, project, "doctor", "--json")
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert found["project"]["found"] == str(project)
    assert found["types"]["found"].startswith(f"{TYPE} (flows/parcel_shipped.py); shipped: address-change, ")
    assert found["templates"]["found"].startswith(f"{project}/templates; ")


def test_deployments_made_before_an_upgrade_still_run(up):
    """Their entrypoint is `flows.alert.alert`, of the time when flows/ was a top-level package."""
    one = httpx.get(f"{up.here.api}/deployments/name/alert/alert").raise_for_status().json()
    before = {"entrypoint": "flows.alert.alert", "pull_steps": None}
    httpx.patch(f"{up.here.api}/deployments/{one['id']}", json=before).raise_for_status()
    alert = {"severity": "info", "source": "s", "summary": "s", "started_at": "2026-01-02T03:04:05Z"}
    asked = {"recipient": {"email": "ops@buyer.example"}, "data": alert}
    ended = up.finished(up.trigger("alert", requests=[asked]))
    assert ended["state"]["type"] == "COMPLETED", ended["state"]
    assert len(up.mails("ops@buyer.example")) == 1


def test_prefects_own_process_worker_runs_the_projects_types(python, project, prefect, tmp_path):
    """Started in the project's folder, without WAYPOST_PROJECT."""
    mails = tmp_path / "mails"
    more = {
        "PREFECT_API_URL": prefect.api,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "WAYPOST_HOME": str(tmp_path / "home"),
        "WAYPOST_WORK_POOL": "processes",
        "WAYPOST_PROVIDERS": json.dumps({"files": {"url": f"maildir://{mails}"}}),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    env = environment(tmp_path / "home", **clean(more))
    prefects = [str(python), "-m", "prefect"]
    pool = [*prefects, "work-pool", "create", "processes", "--type", "process"]
    subprocess.run(pool, env=env, cwd=project, capture_output=True, timeout=120, check=True)
    for arguments in (("db", "upgrade"), ("deploy",)):
        done = run(python, project, *arguments, **more)
        assert done.returncode == 0, done.stdout + done.stderr
    worker = launch([*prefects, "worker", "start", "--pool", "processes"], env, tmp_path / "log", cwd=project)
    try:
        one = httpx.get(f"{prefect.api}/deployments/name/{TYPE}/{TYPE}").raise_for_status().json()
        url = f"{prefect.api}/deployments/{one['id']}/create_flow_run"
        made = httpx.post(url, json={"parameters": {"requests": [REQUEST]}}).raise_for_status().json()
        ended = eventually(
            lambda: (found := prefect.run(made["id"]))["state"]["type"] in ENDED and found, 120
        )
        assert ended["state"]["type"] == "COMPLETED", (tmp_path / "log").read_text()
        [mail] = (mails / "new").iterdir()
        assert "Parcel shipped: 8" in mail.read_text()
    finally:
        end(worker)


def crowd():
    """How many programs want each processor, at least 1: each gets only its share of the time."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_from_a_new_type_to_its_mail_are_four_commands_soon(python, tmp_path):
    begun = time.monotonic()
    assert run(python, tmp_path, "init", "shop").returncode == 0
    shop = tmp_path / "shop"
    made = run(python, shop, "new", "seat-reserved")
    assert made.returncode == 0, made.stderr
    up = start(shop / ".waypost", python=str(python), **clean({}))
    try:
        sent = run(python, shop, "send", "seat-reserved", "--sample", "--to", "ada@buyer.example")
        took = time.monotonic() - begun
        assert sent.returncode == 0, sent.stdout + sent.stderr
        [mail] = up.mails("ada@buyer.example")
        assert mail["Subject"] == "Seat reserved: 1042"
        assert "waypost send seat-reserved --sample --to" in made.stdout
        assert took < 60 * crowd(), f"{took:.1f} s"
        again = run(python, shop, "send", "seat-reserved", "--sample", "--to", "ada@buyer.example")
        assert (again.returncode, len(up.mails("ada@buyer.example"))) == (0, 2)
        passed(python, shop, 6)
    finally:
        assert up.stop() == 0
