"""Providers from the settings, and the steps a route takes through them."""

from uuid import UUID

import pytest

from waypost.channels.memory import MemoryChannel
from waypost.config.settings import Settings
from waypost.delivery.channel_factory import providers
from waypost.model.provider import Provider
from waypost.policy.route_steps import in_turn, steps, why_unreached

MAIL, BACKUP = MemoryChannel("smtp", "email"), MemoryChannel("smtp-backup", "email")
SMTP, OTHER = "WAYPOST_SMTP_URL", "WAYPOST_FALLBACK_URL"
NO_ADDRESS = "the recipient has no address for"
OR_A_BLOCK = ", or save a provider block in Prefect"
SMS, ANY = MemoryChannel("sms", "sms"), MemoryChannel("apprise", "*")


@pytest.fixture(autouse=True)
def own_sender(monkeypatch):
    """Mail servers elsewhere take none from an example's domain."""
    monkeypatch.setenv("WAYPOST_SENDER", "Shop <no-reply@shop.de>")


@pytest.mark.parametrize(
    ("route", "available", "taken"),
    [
        ("email", [MAIL], "email:smtp"),
        ("email", [MAIL, BACKUP], "email:smtp email:smtp-backup"),
        ("email sms", [MAIL, BACKUP, ANY], "email:smtp email:smtp-backup sms:apprise"),
        ("sms email", [MAIL, ANY], "sms:apprise email:smtp"),
        ("sms chat", [ANY], "sms:apprise"),
        ("sms", [SMS, ANY], "sms:sms sms:apprise"),
        ("email", [ANY], ""),
        ("email sms", [], ""),
        ("email:smtp-backup sms", [MAIL, BACKUP, ANY], "email:smtp-backup sms:apprise"),
        ("email:smtp-backup email", [MAIL, BACKUP], "email:smtp-backup email:smtp"),
        ("email:nowhere sms:apprise", [MAIL, ANY], "sms:apprise"),
    ],
)
def test_a_route_takes_each_provider_once_in_its_order(route, available, taken):
    found = steps(route.split(), available)
    assert " ".join(f"{kind}:{channel.name}" for kind, channel in found) == taken


def test_the_settings_name_the_providers_in_order():
    settings = Settings(
        smtp_url="smtp://a.example?connections=7",
        smtp_backup_url="smtp://b.example",
        fallback_url="json://localhost/{phone}",
    )
    found = [(channel.name, channel.kind, channel.permits.most) for channel in providers(settings)]
    assert found == [("smtp", "email", 7), ("smtp-backup", "email", 4), ("apprise", "*", 4)]
    assert providers(Settings()) == []


def first_of(weights, id):
    return in_turn(steps(["email", "sms"], [MAIL, BACKUP, SMS]), weights, id)[0][1].name


def test_weights_share_out_first_tries_and_give_each_notification_the_same_one_every_time():
    ids = [UUID(int=number) for number in range(4000)]
    firsts = [first_of({"smtp": 3, "smtp-backup": 1}, id) for id in ids]
    assert 0.72 < firsts.count("smtp") / len(ids) < 0.78
    assert firsts == [first_of({"smtp": 3, "smtp-backup": 1}, id) for id in ids]


@pytest.mark.parametrize("weights", [{}, {"smtp-backup": 5}, {"sms": 1, "smtp-backup": 1}])
def test_without_another_of_its_kind_to_share_with_a_weight_changes_nothing(weights):
    assert {first_of(weights, UUID(int=number)) for number in range(50)} == {"smtp"}


def test_every_step_is_taken_once_in_whatever_order():
    found = steps(["email", "sms"], [MAIL, BACKUP, SMS])
    for number in range(50):
        turn = in_turn(found, {"smtp": 1, "smtp-backup": 1}, UUID(int=number))
        assert sorted(channel.name for _, channel in turn) == ["sms", "smtp", "smtp-backup"]
        assert [kind for kind, _ in turn] == ["email", "email", "sms"]


@pytest.mark.parametrize("name", ["smtp_url", "smtp_backup_url", "fallback_url"])
@pytest.mark.parametrize("url", ["nosuch://u:hunter2@h", "u:hunter2@h", ""])
def test_a_wrong_url_names_its_setting_and_not_its_password(name, url):
    with pytest.raises(ValueError, match=f"^WAYPOST_{name.upper()}: ") as refused:
        providers(Settings(**{name: url}))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_ca_file_that_is_none_is_a_wrong_setting(tmp_path, content):
    if content:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(ValueError, match=r"^WAYPOST_SMTP_URL: .*ca"):
        providers(Settings(smtp_url=f"smtps://u:p@mail.example?ca={tmp_path}/ca.pem"))


@pytest.mark.parametrize(
    ("reached", "served", "why"),
    [
        ("email sms", "", f"there is no provider for email or sms: set {SMTP} and {OTHER}{OR_A_BLOCK}"),
        (
            "email",
            "sms",
            f"{NO_ADDRESS} sms, and there is no provider for email: set {SMTP}{OR_A_BLOCK}",
        ),
        (
            "sms",
            "email",
            f"{NO_ADDRESS} email, and there is no provider for sms: set {OTHER}{OR_A_BLOCK}",
        ),
        ("email sms", "email", f"there is no provider for sms: set {OTHER}{OR_A_BLOCK}"),
        ("email", "email", "its next provider no longer exists; see `waypost doctor`"),
    ],
)
def test_why_somebody_is_not_reached_names_the_setting_that_would_change_it(reached, served, why):
    assert why_unreached(("email", "sms"), reached.split(), served.split()) == why


SECRET = "whsec_" + "A" * 32


def test_more_providers_come_by_name_and_say_what_they_serve(tmp_path):
    settings = Settings(
        smtp_url="smtp://a.example",
        providers={
            "ses": Provider(url="smtps://u:p@b.example?connections=9"),
            "files": Provider(url=f"maildir://{tmp_path}/mails"),
            "shop": Provider(url="webhook+https://shop.example/hook", secrets=[SECRET]),
            "texts": Provider(url="json://localhost/{phone}", kind="sms"),
        },
    )
    found = [(channel.name, channel.kind) for channel in providers(settings)]
    assert found == [
        ("smtp", "email"), ("ses", "email"), ("files", "email"), ("shop", "webhook"), ("texts", "sms"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ({"url": "hunter2"}, "not a valid Apprise URL"),
        ({"url": "webhook+https://h/hunter2"}, "a webhook needs a secret"),
        ({"url": "webhook+https://h/x", "secrets": ["whsec_hunter2="]}, "a webhook's secret must be"),
        ({"url": "webhook+http://h.example/x", "secrets": [SECRET]}, ""),
        ({"url": "smtp://u:hunter2@h?nosuch=1"}, "unknown option 'nosuch'"),
        ({"url": "smtp://u:hunter2@h", "kind": "sms"}, 'its kind is always "email"'),
        ({"url": "maildir:///m", "kind": "sms"}, 'its kind is always "email"'),
        ({"url": "maildir://hunter2"}, ""),
    ],
)
def test_a_wrong_provider_is_named_and_its_secret_is_not(provider, said):
    with pytest.raises(ValueError, match=f"^WAYPOST_PROVIDERS: mine: {said}") as refused:
        providers(Settings(providers={"mine": provider}))
    assert "hunter2" not in str(refused.value)


def test_two_providers_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"^WAYPOST_PROVIDERS: smtp: .*already uses this provider's name"):
        providers(Settings(smtp_url="smtp://a.example", providers={"smtp": Provider(url="smtp://b.example")}))
