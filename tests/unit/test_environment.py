"""Proxies, private files, and one reading of Prefect's address."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from support.processes import environment, waypost

from waypost.client.http import options
from waypost.config.environment import by_proxy, prepare, proxy, read_file, without_login


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def shell(monkeypatch):
    """Sets variables of the environment, where there is no other of proxies."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)

    def export(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        prepare(os.environ)

    return export


@contextmanager
def a_server():
    """Yields its port; it answers everything with 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments): ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("exempt", [{}, {"NO_PROXY": "shop.example"}, {"no_proxy": "shop.example"}])
def test_loopback_goes_by_no_proxy(shell, name, exempt):
    shell(**{name: "http://127.0.0.1:9"}, **exempt)
    with a_server() as port:
        assert httpx.get(f"http://127.0.0.1:{port}/").is_success
        assert httpx.get(f"http://localhost:{port}/").is_success
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://prefect.example/")


def test_the_gateways_client_reaches_this_machine_in_a_process_that_prepared_nothing(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with a_server() as port, httpx.Client(**options(f"http://127.0.0.1:{port}", "wp_key")) as client:
        assert client.get("/").is_success


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://prefect.example/api", ("HTTP_PROXY", "http://u:hunter2@proxy:1")),
        ("https://prefect.example/api", ("ALL_PROXY", "http://proxy:2")),
        ("https://db.inside.example/api", None),
        ("http://127.0.0.1:4200/api", None),
        ("nonsense", None),
    ],
)
def test_the_variable_of_the_proxy_is_named(shell, url, found):
    shell(http_proxy="http://u:hunter2@proxy:1", ALL_PROXY="http://proxy:2", no_proxy="inside.example")
    assert proxy(url) == found
    assert by_proxy(url) == (f" through the proxy of {found[0]}" if found else "")


def test_an_environment_that_exempts_every_host_stays_so(shell):
    shell(NO_PROXY="*", HTTP_PROXY="http://proxy:1")
    assert os.environ["NO_PROXY"] == "*"
    assert proxy("http://prefect.example") is None


def test_prefects_address_has_one_form(shell):
    shell(PREFECT_API_URL=" http://prefect:4200/api/ ")
    assert os.environ["PREFECT_API_URL"] == "http://prefect:4200/api"


def test_a_login_in_a_url_is_left_out_of_messages():
    assert without_login("http://me:hunter2@prefect:4200/api") == "http://prefect:4200/api"


def test_only_the_owner_reads_the_files_a_command_writes(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    done = waypost(tmp_path / "home", "db", "upgrade", WAYPOST_DATABASE_URL=f"sqlite:///{folder}/ledger.db")
    assert done.returncode == 0, done.stderr
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize("name", ["h?a=1", "a #b", "100%41", "ä ö"])
def test_a_home_may_have_any_name(tmp_path, name):
    home = tmp_path / name
    assert waypost(home, "db", "upgrade").returncode == 0
    assert waypost(home, "list").returncode == 0
    assert list(tmp_path.iterdir()) == [home]
    assert (home / "ledger.db").exists()


def test_settings_come_from_the_projects_file_where_the_environment_has_none(tmp_path):
    (tmp_path / ".env").write_text(
        "# ours\nWAYPOST_SENDER=Shop <no-reply@shop.example>\nWAYPOST_SIGNATURE='a $b #c'\n"
        "PREFECT_API_URL=http://p/api\nPOSTGRES_PASSWORD=secret\n"
    )
    environ = {"PREFECT_API_URL": "http://mine/api"}
    read_file(tmp_path, environ)
    assert environ == {
        "WAYPOST_SENDER": "Shop <no-reply@shop.example>",
        "WAYPOST_SIGNATURE": "a $b #c",
        "PREFECT_API_URL": "http://mine/api",
    }
    read_file(tmp_path / "nowhere", environ)


def test_a_relative_path_in_the_file_is_relative_to_the_projects_folder(tmp_path, monkeypatch):
    (tmp_path / "dkim.pem").touch()
    (tmp_path / ".env").write_text(
        "waypost_home=data\nWAYPOST_DATABASE_URL=sqlite:///its.db\nWAYPOST_DKIM_KEY=dkim.pem,MIIE\n"
        "PREFECT_HOME=/srv/prefect\n"
    )
    monkeypatch.chdir("/")
    environ = {}
    read_file(tmp_path, environ)
    assert environ == {
        "WAYPOST_HOME": f"{tmp_path}/data",
        "WAYPOST_DATABASE_URL": f"sqlite:///{tmp_path}/its.db",
        "WAYPOST_DKIM_KEY": f"{tmp_path}/dkim.pem,MIIE",
        "PREFECT_HOME": "/srv/prefect",
    }


@pytest.mark.parametrize("home", ["/etc/passwd", "/dev/null/deeper"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("doctor",),
        ("keys", "list"),
        ("db", "upgrade"),
        ("up", "--port", "0"),
        ("send", "alert", "--from", "/etc/passwd"),
    ],
)
def test_a_home_that_can_be_no_folder_is_told_by_each_command(tmp_path, arguments, home):
    done = waypost(tmp_path / "home", *arguments, WAYPOST_HOME=home)
    assert done.returncode == 1
    assert "WAYPOST_HOME: /" in done.stdout + done.stderr
    assert "is not a folder" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("folder", ["/dev/null/x", "/proc/x", "/etc/passwd"])
def test_a_project_in_an_impossible_place_is_told(tmp_path, folder):
    done = waypost(tmp_path / "home", "init", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert folder in done.stderr


def test_an_output_that_is_not_in_unicode_shows_what_it_can(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "waypost", "verify", "ada", "\u0663", "--client", "\u6e2f"],
        env=environment(tmp_path / "home", PYTHONIOENCODING="latin-1"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="latin-1",
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_command_takes_the_settings_of_the_current_folder_and_tells_misspelt_ones(tmp_path):
    (tmp_path / ".env").write_text("WAYPOST_DATABASE_URL=sqlite:///its.db\nWAYPOST_SENDR=a@a.example\n")
    done = waypost(tmp_path / "home", "db", "upgrade")
    assert (done.returncode, (tmp_path / "its.db").exists()) == (0, True)
    assert "WAYPOST_SENDR is not a setting; did you mean WAYPOST_SENDER?" in done.stderr


def test_a_file_of_settings_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / ".env").mkdir()
    (tmp_path / "home").mkdir()
    done = waypost(tmp_path / "home", "db", "upgrade")
    assert done.returncode == 0, "a folder is no file of settings"
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").write_bytes(b"WAYPOST_SENDER=\xff\n")
    done = waypost(tmp_path / "home", "db", "upgrade")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert ".env cannot be read" in done.stderr
