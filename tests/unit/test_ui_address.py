"""Where the Prefect UI is, as the environment says it."""

from pathlib import Path

import pytest

from waypost.config import instance
from waypost.config.settings import Settings


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"PREFECT_UI_URL": "https://ui.example/"}, "https://ui.example"),
        ({"PREFECT_API_URL": "http://prefect:4200/api"}, "http://prefect:4200"),
        ({"PREFECT_API_URL": "http://prefect:4200/api/"}, "http://prefect:4200"),
        ({"PREFECT_API_URL": "https://host.example/prefect/api"}, "https://host.example/prefect"),
        ({"PREFECT_API_URL": "https://me:secret@host.example/api"}, "https://host.example"),
        ({"PREFECT_API_URL": "https://api.prefect.cloud/api/accounts/1/workspaces/2"}, None),
        ({"PREFECT_API_URL": "http://a/api", "PREFECT_UI_URL": "http://b"}, "http://b"),
    ],
)
def test_the_uis_address(monkeypatch, environment, expected):
    for name in ("PREFECT_UI_URL", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert instance.ui(Settings()) == expected


def test_that_of_a_running_waypost_up_is_found(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    here = instance.Instance(pid=1, api="http://127.0.0.1:4201/api", embedded=True)
    monkeypatch.setattr(instance, "find", lambda home: here if home == tmp_path else None)
    assert instance.ui(Settings(home=tmp_path)) == "http://127.0.0.1:4201"
