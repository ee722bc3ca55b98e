"""A gateway that serves TLS itself, and one that others were to reach without a key."""

from __future__ import annotations

import asyncio
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from support.certificates import Pair, self_signed
from support.forks import Forked
from support.processes import command, environment, eventually, waypost

from waypost.config.mail import senders_of_brands
from waypost.config.settings import Settings
from waypost.deployments.prefect_api import prefect_answers
from waypost.deployments.registry import registered
from waypost.gateway import certificate
from waypost.gateway.context import GatewayContext
from waypost.gateway.listen import ListenAddress, UnprotectedGateway, check_keys
from waypost.gateway.server.app import gateway as application
from waypost.gateway.server.listener import listen

pytestmark = pytest.mark.anyio


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return self_signed(tmp_path / "pair")


@asynccontextmanager
async def listening(ledger, where: ListenAddress) -> AsyncIterator[ListenAddress]:
    door = GatewayContext.over(
        ledger, registered(), b"k" * 16, prefect_answers, senders_of_brands(Settings())
    )
    app = application(door, https=where.certificate is not None)
    stop, found = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(listen(app, where, stop, found.set_result))
    try:
        yield await found
    finally:
        stop.set()
        await running


def trusting(pair: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=pair.certificate)


async def test_browsers_are_told_to_stay_with_tls_where_it_is_served(ledger, pair):
    async with listening(ledger, ListenAddress(port=0, certificate=pair.certificate, key=pair.key)) as found:
        assert found.url.startswith("https://127.0.0.1:")
        async with httpx.AsyncClient(base_url=found.url, verify=trusting(pair)) as client:
            for path, status in {"/healthz": 200, "/v1/types": 401, "/nowhere": 404}.items():
                answer = await client.get(path)
                assert answer.status_code == status
                assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_they_are_not_where_it_is_not(ledger):
    async with listening(ledger, ListenAddress(port=0)) as found, httpx.AsyncClient() as client:
        answer = await client.get(f"{found.url}/healthz", headers={"x-forwarded-proto": "https"})
    assert "strict-transport-security" not in answer.headers


async def handshake(found: ListenAddress, context: ssl.SSLContext) -> tuple[str, str]:
    """The version and the cipher that a connection comes to."""
    _, writer = await asyncio.open_connection("127.0.0.1", found.port, ssl=context)
    shown = writer.get_extra_info("ssl_object")
    writer.close()
    return shown.version(), shown.cipher()[0]


async def test_with_tls_1_2_too_what_was_recorded_stays_secret(ledger, pair):
    older = trusting(pair)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    weak = trusting(pair)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-SHA:AES256-SHA:ECDHE-ECDSA-AES128-SHA:NULL:aNULL:@SECLEVEL=0")
    async with listening(ledger, ListenAddress(port=0, certificate=pair.certificate, key=pair.key)) as found:
        assert (await handshake(found, trusting(pair)))[0] == "TLSv1.3"
        version, cipher = await handshake(found, older)
        assert (version, cipher.split("-")[0]) == ("TLSv1.2", "ECDHE")
        assert "GCM" in cipher or "POLY1305" in cipher
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await handshake(found, weak)
        with pytest.raises((httpx.HTTPError, OSError)):
            httpx.get(f"http://127.0.0.1:{found.port}/healthz")


def swapped(pair: Pair, _: Path) -> Pair:
    return Pair(pair.key, pair.certificate)


def of_another(pair: Pair, folder: Path) -> Pair:
    return Pair(pair.certificate, self_signed(folder / "other").key)


def expired(_: Pair, folder: Path) -> Pair:
    return self_signed(folder / "old", valid_for=timedelta(days=-1))


def locked(_: Pair, folder: Path) -> Pair:
    return self_signed(folder / "locked", passphrase=b"hunter2")


def empty(pair: Pair, folder: Path) -> Pair:
    (folder / "empty.pem").touch()
    return Pair(pair.certificate, folder / "empty.pem")


def missing(pair: Pair, folder: Path) -> Pair:
    return Pair(folder / "nowhere.pem", pair.key)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (swapped, "contains no certificate in PEM"),
        (of_another, "does not match the first certificate in"),
        (expired, "expired at"),
        (locked, "has a passphrase"),
        (empty, "contains no private key in PEM"),
        (missing, "cannot be read"),
    ],
)
def test_a_file_that_is_wrong_is_named(pair, tmp_path, spoil, said):
    wrong = spoil(pair, tmp_path)
    with pytest.raises(certificate.Unusable, match=said) as refused:
        certificate.check(wrong.certificate, wrong.key)
    assert ".pem" in str(refused.value)


async def test_where_others_reach_it_there_must_be_a_key_or_an_issuer(ledger):
    with pytest.raises(UnprotectedGateway, match="waypost keys create"):
        await check_keys(ledger, "0.0.0.0", has_tokens=False)
    for host, tokens in (("127.0.0.1", False), ("::1", False), ("localhost", False), ("::", True)):
        assert await check_keys(ledger, host, tokens) == 0


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[str]:
    """`waypost gateway` as a process; where it says that it listens."""
    log = home / "gateway.log"
    with log.open("wb") as output:
        process = Forked(
            command("gateway", "--port=0", *arguments),
            env=environment(home),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        [line] = eventually(lambda: [x for x in log.read_text().splitlines() if "gateway at" in x])
        yield line.split()[2].strip(";")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()


def test_as_a_command_it_is_refused_with_a_sentence_until_there_is_a_key(pair, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    waypost(home, "db", "upgrade")
    refused = waypost(home, "gateway", "--port=0", "--host=0.0.0.0")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("waypost: the gateway cannot listen on 0.0.0.0: ")
    key = waypost(home, "keys", "create", "shop").stdout.strip()
    files = [f"--certificate={pair.certificate}", f"--key={pair.key}"]
    with started(home, "--host=0.0.0.0", *files) as url:
        where = url.replace("0.0.0.0", "127.0.0.1")
        headers = {"authorization": f"Bearer {key}"}
        assert httpx.get(f"{where}/v1/types", headers=headers, verify=trusting(pair)).status_code == 200


def test_as_a_command_it_says_what_is_wrong_with_a_file(pair, tmp_path):
    wrong = [f"--certificate={pair.key}", f"--key={pair.key}"]
    done = waypost(tmp_path / "home", "gateway", "--port=0", *wrong)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"waypost: {pair.key} contains no certificate in PEM\n"
