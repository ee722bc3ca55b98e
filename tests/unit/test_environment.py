"""Proxies, private files, and one reading of Prefect's address."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from support.processes import waypost

from waypost.client.http import options
from waypost.config.environment import by_proxy, prepare, proxy, without_login


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
    assert by_proxy(url) == (f" by the proxy of {found[0]}" if found else "")


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
