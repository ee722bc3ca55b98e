"""A forked process is as good as a started one."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.forks import Forked, run
from support.processes import command, environment, waypost

pytestmark = pytest.mark.long

SETTINGS = "from prefect.settings import get_current_settings as now; print(now().api.url, now().home)"
IDS = "from uuid_utils.compat import uuid7; import random; print(uuid7(), random.random())"


@pytest.fixture
def module(tmp_path):
    """Runs a text as a module, forked."""

    def runs(text, **more):
        (tmp_path / "mine.py").write_text(text)
        return run([sys.executable, "-m", "mine"], 60, env=environment(tmp_path, **more), cwd=tmp_path)

    return runs


@pytest.mark.parametrize("arguments", [("--help",), ("worker",), ("no-such-command",)])
def test_it_says_and_returns_the_same(tmp_path, arguments):
    started = subprocess.run(
        command(*arguments), env=environment(tmp_path / "home"), cwd=tmp_path, capture_output=True, text=True
    )
    forked = waypost(tmp_path / "home", *arguments)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )


def test_prefects_settings_are_those_of_its_environment(module, tmp_path):
    told = module(SETTINGS, PREFECT_API_URL="http://127.0.0.1:9/api", PREFECT_HOME=str(tmp_path / "own"))
    assert told.stdout.split() == ["http://127.0.0.1:9/api", str(tmp_path / "own")]


def test_a_setting_made_before_the_first_look_counts(module):
    text = "import os; os.environ['PREFECT_API_URL'] = 'http://127.0.0.1:8/api'; " + SETTINGS
    assert module(text).stdout.startswith("http://127.0.0.1:8/api")


def test_no_two_have_ids_or_chances_in_common(module):
    told = [module(IDS).stdout.split() for _ in range(2)]
    assert told[0][0][15:] != told[1][0][15:]  # behind the time
    assert told[0][1] != told[1][1]


def test_it_ends_with_its_own_status_and_by_a_signal(module, tmp_path):
    assert module("raise SystemExit(3)").returncode == 3
    (tmp_path / "mine.py").write_text("import time; time.sleep(60)")
    waiting = Forked([sys.executable, "-m", "mine"], env=environment(tmp_path), cwd=tmp_path)
    waiting.send_signal(signal.SIGKILL)
    assert waiting.wait(10) == -signal.SIGKILL


def test_its_own_path_counts(module, tmp_path):
    (tmp_path / "own" / "waypost").mkdir(parents=True)
    (tmp_path / "own" / "waypost" / "__init__.py").write_text("ORIGIN = 'its own'")
    assert (
        module("import waypost; print(waypost.ORIGIN)", PYTHONPATH=str(tmp_path / "own")).stdout
        == "its own\n"
    )


def test_threads_get_the_processes_they_asked_for(tmp_path):
    (tmp_path / "mine.py").write_text("import os; print(os.getpid())")

    def same(_):
        command = [sys.executable, "-m", "mine"]
        with Forked(command, env=environment(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE) as process:
            return int(process.stdout.read()) == process.pid

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(same, range(40))) == [True] * 40
