"""`waypost gateway --smtp` as a user starts it."""

from __future__ import annotations

import json
import re
import smtplib
import ssl
import subprocess

import pytest
from support.certificates import self_signed
from support.forks import Forked
from support.processes import command, environment, waypost
from support.smtp_submission import SENDER, letter


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--smtp", "0"], "SMTP needs TLS"),
        (["--smtps", "0"], "SMTP needs TLS"),
        (["--smtp", "0", "--smtps", "0", "--smtp-plain"], "SMTP needs TLS"),
        (["--smtp-plain"], "--smtp-plain needs --smtp"),
        (["--smtp", "0", "--smtp-plain", "--host", "0.0.0.0"], "--smtp-plain is for loopback only"),
    ],
)
def test_a_key_is_never_asked_for_where_others_could_hear_it(tmp_path, options, said):
    done = waypost(tmp_path / "home", "gateway", "--port", "0", *options)
    assert done.returncode == 2
    assert said in re.sub(r"[│\s]+", " ", done.stderr)


def test_it_says_where_mail_is_submitted_and_takes_it_there(tmp_path):
    home = tmp_path / "home"
    files = self_signed(tmp_path)
    assert waypost(home, "db", "upgrade").returncode == 0
    key = waypost(home, "keys", "create", "shop").stdout.strip()
    tls = ("--certificate", str(files.certificate), "--key", str(files.key))
    options = (*["--port", "0", "--smtp", "0", "--smtps", "0"], *tls)
    running = Forked(
        command("gateway", *options), env=environment(home), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        lines = [running.stdout.readline() for _ in range(3)]
        ports = dict(re.findall(r"mail is submitted at (smtps?)://127\.0\.0\.1:(\d+)", "".join(lines)))
        trusts = ssl.create_default_context(cafile=str(files.certificate))
        with smtplib.SMTP("127.0.0.1", int(ports["smtp"]), timeout=20) as client:
            client.starttls(context=trusts)
            client.login("shop", key)
            assert client.send_message(letter(), SENDER) == {}
        with smtplib.SMTP_SSL("127.0.0.1", int(ports["smtps"]), timeout=20, context=trusts) as client:
            client.login("shop", key)
            assert client.send_message(letter(to="bob@a.example"), SENDER) == {}
        running.terminate()
        assert running.wait(10) == 0
    finally:
        running.kill()
        running.stdout.close()
    kept = json.loads(waypost(home, "list", "--json").stdout)
    assert "message" in json.dumps(kept)
    assert len(kept if isinstance(kept, list) else kept["notifications"]) == 2
