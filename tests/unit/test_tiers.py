"""Each test is run by `make test` or by `make test-long`, and CI runs both."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pytest_arguments(target):
    """What `make` gives to pytest, without options of the distribution."""
    mine = {"PATH": os.environ["PATH"]}  # without the options of a `make` that runs this test
    shown = subprocess.run(
        ["make", "-n", target], cwd=ROOT, env=mine, capture_output=True, text=True, check=True
    )
    [arguments] = re.findall(r"-m pytest (.*)", shown.stdout)
    return re.sub(r"-n \S+|--dist \S+|--no-loadscope-reorder", "", arguments).split(maxsplit=1)


def test_the_targets_divide_all_tests_by_a_marker():
    """Neither names a path or another choice."""
    assert pytest_arguments("test") == ["-m", '"not long" ']
    assert pytest_arguments("test-long") == ["-m", "long "]


def test_ci_runs_both():
    run = (ROOT / ".ci" / "run").read_text()
    assert re.findall(r"^(?:make|tier) (\S+)", run, re.MULTILINE) == ["check", "test", "test-long"]
    assert '\n    make "$1" ' in run.partition("tier() {")[2]
