"""Applications that only post install `waypost-client`: few packages, and nothing else of Waypost."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.processes import REPOSITORY
from support.wheels import built, install, site_packages

CLIENT = REPOSITORY / "clients" / "python"
PROJECT = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
WAYPOST = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
FEWER_THAN = 15


def needed(requirements: list[str]) -> set[str]:
    """The distributions that pip would install for `requirements`, as this environment has them."""
    found: set[str] = set()
    left = [Requirement(one) for one in requirements]
    while left:
        one = left.pop()
        if one.marker and not any(one.marker.evaluate({"extra": extra}) for extra in (*one.extras, "")):
            continue
        if (name := canonicalize_name(one.name)) not in found:
            found.add(name)
            left += [Requirement(text) for text in distribution(name).requires or ()]
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of an environment with the client's wheel and the packages that it declares."""
    folder = tmp_path_factory.mktemp("application")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    made = folder / "venv" / "bin" / "python"
    install(made, "--no-deps", str(built(folder / "wheel", CLIENT)))
    for name in needed(PROJECT["dependencies"]):
        for file in distribution(name).files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = site_packages(folder / "venv") / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)
    return made


def run(python: Path, code: str, **env: str) -> str:
    done = subprocess.run(
        [str(python), "-I", "-c", code], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def example(up) -> str:
    """The example of the gateway's page, for this client and the gateway of these tests."""
    page = (REPOSITORY / "docs" / "gateway.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert "from waypost.client import" in code
    code = code.replace("from waypost.client import", "from waypost_client import")
    return code.replace("http://127.0.0.1:8080", up.here.gateway)


def test_it_needs_few_packages():
    assert len({"waypost-client", *needed(PROJECT["dependencies"])}) < FEWER_THAN


def test_it_needs_no_part_of_waypost(python):
    listed = run(python, "import waypost_client, sys; print(*sys.modules)").split()
    heavy = {"waypost", "prefect", "alembic", "sqlalchemy", "mjml", "jinja2", "babel"}
    assert heavy.isdisjoint(name.partition(".")[0] for name in listed)


def test_it_posts_to_a_gateway_as_the_page_shows(python, up):
    key = up.run("keys", "create", "blog", "--scope", "send", "--scope", "read", "--scope", "manage")
    told = run(python, example(up), KEY=key.stdout.strip())
    assert told.split()[0] in {"accepted", "claimed", "sending", "sent"}


def test_it_has_the_names_that_waypost_client_has(python):
    import waypost.client

    told = run(python, "import waypost_client; print(*waypost_client.__all__)")
    assert told.split() == waypost.client.__all__


def test_its_files_are_in_no_other_distribution(tmp_path):
    wheels = built(tmp_path / "client", CLIENT), built(tmp_path / "waypost")
    listed = []
    for wheel in wheels:
        shutil.unpack_archive(wheel, tmp_path / wheel.parent.name / "files", "zip")
        files = (tmp_path / wheel.parent.name / "files").rglob("*")
        listed.append({str(path).partition("/files/")[2] for path in files if path.is_file()})
    assert not listed[0] & listed[1]


def test_it_can_be_built_of_its_sdist(tmp_path):
    shutil.unpack_archive(built(tmp_path / "sdist", CLIENT, "sdist"), tmp_path / "unpacked")
    [source] = (tmp_path / "unpacked").iterdir()
    wheels = built(tmp_path / "first", CLIENT), built(tmp_path / "second", source)
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


def test_it_is_released_with_waypost():
    assert PROJECT["version"] == WAYPOST["version"]
    assert (CLIENT / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()
    ours = {Requirement(one).name: one for one in WAYPOST["dependencies"]}
    assert PROJECT["dependencies"] == [ours[Requirement(one).name] for one in PROJECT["dependencies"]]
