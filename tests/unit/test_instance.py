"""What a running `waypost up` serves, where the settings leave it open."""

import os
import subprocess
from pathlib import Path

import pytest

from waypost.config import instance
from waypost.config.settings import Settings
from waypost.delivery.channel_factory import providers

MAILBOX = instance.Mailbox(
    folder=Path("mail"), smtp_url="smtp://127.0.0.1:2525", texts_url="json://127.0.0.1:8025/text/{phone}"
)


@pytest.fixture(autouse=True)
def own_sender(monkeypatch):
    """Mail servers elsewhere take none from an example's domain."""
    monkeypatch.setenv("WAYPOST_SENDER", "Shop <no-reply@shop.de>")


@pytest.mark.parametrize(
    ("set_", "first"),
    [
        ({}, ["smtp", "apprise"]),
        ({"providers": {"texts": {"url": "json://localhost/{phone}", "kind": "sms"}}}, ["smtp", "apprise"]),
        ({"fallback_url": "jsons://api.example"}, ["smtp", "apprise"]),
        ({"providers": {"ses": {"url": "smtps://mail.example"}}}, ["ses"]),
        ({"providers": {"ses": {"url": "SMTP://mail.example", "kind": "email"}}}, ["ses"]),
        ({"providers": {"copies": {"url": "maildir:///var/mail/waypost"}}}, ["copies"]),
        ({"smtp_backup_url": "smtp://b.example"}, ["smtp-backup"]),
    ],
)
def test_the_development_mailbox_is_no_provider_where_settings_name_who_takes_mail(monkeypatch, set_, first):
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    here = instance.Instance(pid=1, api="http://127.0.0.1:4201/api", embedded=False, mailbox=MAILBOX)
    full = instance.pointed_at(Settings(**set_), here)
    assert [channel.name for channel in providers(full)][: len(first)] == first
    mailboxes = [u for u in (full.smtp_url, full.fallback_url) if u and "127.0.0.1" in u.get_secret_value()]
    assert bool(mailboxes) is (first[0] == "smtp")


def test_a_home_tells_of_an_up_that_starts_and_of_an_up_that_was_killed(tmp_path):
    here = instance.Instance(pid=os.getpid(), api="http://127.0.0.1:4201/api", embedded=True)
    assert instance.unfinished(tmp_path) == ""
    with instance.only_one(tmp_path):
        assert instance.unfinished(tmp_path) == "`waypost up` is starting here"
        with instance.published(tmp_path, here):
            assert instance.unfinished(tmp_path) == ""
    assert instance.unfinished(tmp_path) == ""
    killed = subprocess.Popen(["true"])
    killed.wait()
    left = here.model_copy(update={"pid": killed.pid})
    (tmp_path / instance.FILE).write_text(left.model_dump_json())
    assert f"(pid {killed.pid}) ended without stopping" in instance.unfinished(tmp_path)
    with instance.only_one(tmp_path):
        assert instance.find(tmp_path) is None, "what a killed process served is not found"
        assert instance.unfinished(tmp_path) == "`waypost up` is starting here"


def test_what_to_do_without_prefect_depends_on_who_named_the_server(tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert instance.to_reach_prefect(tmp_path).startswith("start `waypost up`, or set PREFECT_API_URL")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4201/api")
    unset = "start that server, or `unset PREFECT_API_URL`, then `waypost up`"
    assert instance.to_reach_prefect(tmp_path) == unset
    here = instance.Instance(pid=os.getpid(), api="http://127.0.0.1:4201/api", embedded=True)
    with instance.only_one(tmp_path), instance.published(tmp_path, here):
        assert instance.to_reach_prefect(tmp_path).startswith(f"`waypost up` (pid {os.getpid()}) starts")
        monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
        assert instance.to_reach_prefect(tmp_path) == unset
