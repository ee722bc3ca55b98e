"""What the environment may say, and what never shows."""

import pytest
from pydantic import ValidationError

from waypost.cli.errors import explained, pages
from waypost.config.settings import Settings, prepare_home, unknown, with_async_driver
from waypost.model.provider import Provider


@pytest.mark.parametrize(
    ("url", "driven"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql+asyncpg://u:p@h:5432/d"),
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql://u:p%2F@h/d?application_name=a", "postgresql+asyncpg://u:p%2F@h/d?application_name=a"),
        ("sqlite:///relative.db", "sqlite:///relative.db"),
        ("sqlite:////var/lib/ledger.db", "sqlite:////var/lib/ledger.db"),
        ("sqlite+aiosqlite:///a.db", "sqlite:///a.db"),
    ],
)
def test_a_database_url_is_given_its_async_driver(url, driven):
    assert with_async_driver(url) == driven


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@h/d",
        "u:hunter2@h/d",
        "postgresql:u:hunter2@h/d",
        "postgresql//u:hunter2@h/d",
        "//u:hunter2@h/d",
        "",
    ],
)
def test_another_database_is_refused_without_its_password(url):
    with pytest.raises(ValueError, match="WAYPOST_DATABASE_URL") as refused:
        with_async_driver(url)
    assert "hunter2" not in str(refused.value)


def test_unset_the_ledger_is_a_file_at_home(tmp_path):
    assert Settings(home=tmp_path).ledger_url == f"sqlite:///{tmp_path}/ledger.db"


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "SMTP_URL", "SMTP_BACKUP_URL", "FALLBACK_URL", "SECRET_KEY", "DKIM_KEY"]
)
def test_a_secret_is_read_and_never_shown(monkeypatch, name):
    monkeypatch.setenv(f"WAYPOST_{name}", "smtp://u:hunter2@h")
    settings = Settings()
    assert getattr(settings, name.lower()).get_secret_value() == "smtp://u:hunter2@h"
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sender", ""),
        ("sender", "Shop"),
        ("sender", "Shop <no-reply>"),
        ("sender", "Shop <no-reply@shop.example>\r\nBcc: hunter2@x.example"),
        ("sender", "Shop <no-reply@shop.example>, hunter2 <b@shop.example>"),
        ("poll_seconds", "0"),
        ("attempt_seconds", "-1"),
        ("attempt_seconds", "hunter2"),
        ("lease_seconds", "1"),
    ],
)
def test_a_wrong_setting_is_refused_when_read_and_not_repeated(monkeypatch, name, value):
    monkeypatch.setenv(f"WAYPOST_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name) as refused:
        Settings()
    assert "hunter2" not in str(refused.value)


def test_settings_do_not_change_while_a_process_runs():
    with pytest.raises(ValidationError):
        Settings().sender = "Other <other@shop.example>"


def test_the_home_is_its_owners_alone(tmp_path):
    home = prepare_home(Settings(home=tmp_path / "deep" / "home"))
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hunter2", "WAYPOST_PROVIDERS: not JSON"),
        ("[" * 99_999, "WAYPOST_PROVIDERS: not JSON"),
        ('{"ses": "hunter2"}', "WAYPOST_PROVIDERS: ses: "),
        (
            '{"Two Words": {"url": "smtp://u:hunter2@h"}}',
            "WAYPOST_PROVIDERS: Two Words: not a provider's name: use small letters",
        ),
        (
            '{"": {"url": "smtp://u:hunter2@h"}}',
            "WAYPOST_PROVIDERS: not a provider's name: use small letters",
        ),
        (
            '{"ses": {"url": "smtp://u:hunter2@h", "kind": "E"}}',
            "WAYPOST_PROVIDERS: ses.kind: not a kind of channel: use",
        ),
        ('{"ses": {"url": "smtp://u:hunter2@h", "rate": 0}}', "WAYPOST_PROVIDERS: ses.rate: "),
        (
            '{"ses": {"url": "smtp://u:hunter2@h", "wait": 1}}',
            "WAYPOST_PROVIDERS: ses.wait: there is no such",
        ),
        ('{"ses": {"url": "smtp://u:hunter2@h", "lanes": []}}', "WAYPOST_PROVIDERS: ses: lanes is empty"),
        (
            '{"ses": {"url": "smtp://h", "secrets": ["hunter2"]}}',
            "WAYPOST_PROVIDERS: ses: secrets are for webhooks",
        ),
    ],
)
def test_a_provider_that_is_none_is_told_in_a_sentence_without_its_secret(monkeypatch, value, said):
    monkeypatch.setenv("WAYPOST_PROVIDERS", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    told = explained(refused.value)
    assert told is not None
    assert told.startswith(said)
    assert "hunter2" not in told + str(refused.value)


def test_a_term_that_there_is_not_is_told_with_those_there_are(monkeypatch):
    monkeypatch.setenv("WAYPOST_PROVIDERS", '{"ses": {"url": "smtp://h", "wait": 1}}')
    with pytest.raises(ValidationError) as refused:
        Settings()
    terms = explained(refused.value).partition("; there are ")[2].split(", ")
    assert terms == list(Provider.model_fields)


@pytest.mark.parametrize(
    ("wrong", "page"),
    [
        ({"PROVIDERS": '{"ses": {}}'}, "`waypost docs providers`"),
        ({"POLL_SECONDS": "0"}, "`waypost docs settings`"),
        ({"PROVIDERS": "[]", "POLL_SECONDS": "0"}, "`waypost docs providers` and `waypost docs settings`"),
    ],
)
def test_the_page_named_is_the_one_that_tells_of_the_setting(monkeypatch, wrong, page):
    for name, value in wrong.items():
        monkeypatch.setenv(f"WAYPOST_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert pages(refused.value) == page


@pytest.mark.parametrize(
    ("issuer", "audience", "said"),
    [
        ("http://login.example", "a", "WAYPOST_OIDC_ISSUER: "),
        ("login.example", "a", "WAYPOST_OIDC_ISSUER: "),
        ("https://u:hunter2@login.example", "a", "WAYPOST_OIDC_ISSUER: "),
        ("https://login.example/?x=hunter2", "a", "WAYPOST_OIDC_ISSUER: "),
        ("https://[login", "a", "WAYPOST_OIDC_ISSUER: "),
        ("https://login.example", "", "WAYPOST_OIDC_AUDIENCE: goes with WAYPOST_OIDC_ISSUER"),
        ("https://login.example", None, "WAYPOST_OIDC_AUDIENCE: goes with WAYPOST_OIDC_ISSUER"),
        (None, "a", "WAYPOST_OIDC_AUDIENCE: goes with WAYPOST_OIDC_ISSUER"),
    ],
)
def test_an_issuer_of_tokens_is_one_that_can_be_trusted_and_has_an_audience(
    monkeypatch, issuer, audience, said
):
    for name, value in {"ISSUER": issuer, "AUDIENCE": audience}.items():
        if value is not None:
            monkeypatch.setenv(f"WAYPOST_OIDC_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    told = explained(refused.value)
    assert told is not None
    assert told.startswith(said)
    assert "hunter2" not in told + str(refused.value)


@pytest.mark.parametrize(
    "issuer", ["https://login.example", "https://login.example/realms/shop/", "http://127.0.0.1:8089"]
)
def test_an_issuer_of_this_machine_may_do_without_tls(issuer):
    assert Settings(oidc_issuer=issuer, oidc_audience="a").oidc_issuer == issuer


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("WAYPOST_SMTP_ULR", ["WAYPOST_SMTP_ULR is not a setting; did you mean WAYPOST_SMTP_URL?"]),
        ("WAYPOST_ZZZ", ["WAYPOST_ZZZ is not a setting"]),
        ("waypost_sender", []),
        ("WAYPOST_SMTP_URL", []),
        ("WAYPOST_TEST_POSTGRES_URL", []),
        ("SMTP_ULR", []),
    ],
)
def test_a_name_that_is_no_setting_is_told_with_the_nearest(name, said):
    assert unknown([name, "PATH"]) == said


@pytest.mark.parametrize("days", ["0.5", "0", "-1"])
def test_retention_keeps_at_least_the_day_that_idempotency_keys_are_promised_for(monkeypatch, days):
    monkeypatch.setenv("WAYPOST_RETENTION_DAYS", days)
    with pytest.raises(ValidationError, match="retention_days"):
        Settings()
