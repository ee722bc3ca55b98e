"""No mail leaves this machine from a domain that is nobody's."""

import pytest
from pydantic import SecretStr

from waypost.config.settings import Settings
from waypost.delivery.added_providers import AddedProviders
from waypost.delivery.channel_factory import providers
from waypost.mail.example_domains import is_example


@pytest.mark.parametrize(
    ("domain", "example"),
    [
        ("waypost.example", True),
        ("example.com", True),
        ("mail.Example.ORG", True),
        ("example.net.", True),
        ("shop.test", True),
        ("shop.invalid", True),
        ("example", True),
        ("shop.de", False),
        ("myexample.com", False),
        ("example.de", False),
        ("test.com", False),
        ("localhost", False),
    ],
)
def test_reserved_domains_are_known(domain, example):
    assert is_example(domain) is example


def test_a_domain_that_the_settings_call_internal_is_no_example(monkeypatch):
    monkeypatch.setenv("WAYPOST_INTERNAL_DOMAINS", "corp.test")
    assert not is_example("mail.corp.test")


@pytest.mark.parametrize("setting", ["smtp_url", "smtp_backup_url"])
def test_the_default_sender_is_refused_for_a_server_elsewhere(setting):
    settings = Settings(**{setting: SecretStr("smtps://u:hunter2@mail.shop.de")})
    with pytest.raises(
        ValueError, match=f"WAYPOST_{setting.upper()}: .*waypost.example.*; set WAYPOST_SENDER"
    ):
        providers(settings)


def test_a_block_of_prefect_is_refused_likewise():
    faults = AddedProviders(Settings(), []).replace_with({"ses": {"url": "smtps://u:hunter2@mail.shop.de"}})
    assert "set WAYPOST_SENDER" in faults["ses"]


@pytest.mark.parametrize(
    ("sender", "provider"),
    [
        ("Waypost <no-reply@waypost.example>", "smtp://127.0.0.1:2525"),
        ("Waypost <no-reply@waypost.example>", "smtp://localhost"),
        ("Waypost <no-reply@waypost.example>", "maildir:///var/mail/waypost"),
        ("Shop <no-reply@shop.de>", "smtps://mail.shop.de"),
    ],
)
def test_loopback_a_maildir_and_a_sender_of_ones_own_are_well(sender, provider):
    terms = {"one": {"url": provider}}
    assert len(providers(Settings(sender=sender, providers=terms))) == 1
