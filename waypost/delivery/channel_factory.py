"""Creates the providers that the settings name, from their URLs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydantic import SecretStr

from waypost.channels.channel import Channel
from waypost.channels.smtp.channel import SmtpChannel
from waypost.channels.smtp.url import parse
from waypost.config.brands import brands
from waypost.config.settings import Settings
from waypost.mail.build import Sender
from waypost.mail.example_domains import is_example
from waypost.model.brand import DEFAULT
from waypost.model.provider import Provider
from waypost.net.hosts import is_loopback

OF_THE_SETTINGS = ("smtp", "smtp-backup", "apprise")  # names of the providers with a setting of their own


def providers(settings: Settings) -> list[Channel]:
    """Every provider the settings name, in order of preference within its kind.

    Raises ValueError naming the setting that is wrong, never its value.
    """
    found: dict[str, Channel] = {}
    for setting, name, provider in _named(settings):
        if name in found:
            raise ValueError(f"{setting}: another setting already uses this provider's name; choose another")
        try:
            found[name] = made(name, provider, settings)
        except ValueError as error:
            raise ValueError(f"{setting}: {error}") from None
    return list(found.values())


def _named(settings: Settings) -> Iterator[tuple[str, str, Provider]]:
    """Each provider, after its setting and its name."""
    plain: tuple[tuple[str, SecretStr | None], ...] = (
        ("WAYPOST_SMTP_URL", settings.smtp_url),
        ("WAYPOST_SMTP_BACKUP_URL", settings.smtp_backup_url),
        ("WAYPOST_FALLBACK_URL", settings.fallback_url),
    )
    for name, (setting, url) in zip(OF_THE_SETTINGS, plain, strict=True):
        if url is not None:
            yield setting, name, Provider(url=url)
    for name, provider in settings.providers.items():
        yield f"WAYPOST_PROVIDERS: {name}", name, provider


def made(name: str, provider: Provider, settings: Settings) -> Channel:
    """The provider, ready to be opened. Raises ValueError, never repeating its URL or a secret."""
    url, seconds = provider.url.get_secret_value(), settings.attempt_seconds
    scheme = url.partition(":")[0].lower()
    # Imported only when needed: importing Apprise takes a second.
    if name in ("smtp", "smtp-backup") or scheme in ("smtp", "smtps"):
        return _smtp(name, provider, url, settings)
    if scheme == "maildir":
        from waypost.channels.maildir import channel

        _serves(provider, "email")
        return channel.MaildirChannel(name, channel.parse(url), seconds)
    if scheme.startswith("webhook+"):
        return _webhook(name, provider, url, seconds)
    from waypost.channels.apprise.channel import AppriseChannel

    return AppriseChannel(name, provider.kind or "*", url, seconds)


def _smtp(name: str, provider: Provider, url: str, settings: Settings) -> Channel:
    _serves(provider, "email")
    server, sender = parse(url), Sender.parse(settings.default_sender).address
    if not is_loopback(server.host):
        _check_domains(settings)
    if provider.connections:
        server = replace(server, connections=provider.connections)
    try:
        return SmtpChannel(name, server, sender, settings.attempt_seconds)
    except OSError:
        raise ValueError("ca= must name a readable file of certificates") from None


def _check_domains(settings: Settings) -> None:
    """Raise ValueError for a brand whose sender has an example's domain."""
    for name, brand in brands(settings).items():
        sender = Sender.parse(brand.sender).address
        if is_example(sender.rpartition("@")[2]):
            setting = "WAYPOST_SENDER" if name == DEFAULT else f"the sender of {name} in WAYPOST_BRANDS"
            raise ValueError(
                f"mail from {sender} will not arrive: its domain is an example; set {setting} to an address "
                "at your own domain"
            )


def _webhook(name: str, provider: Provider, url: str, seconds: float) -> Channel:
    from waypost.channels.webhook.channel import WebhookChannel
    from waypost.net.webhook_signature import secret
    from waypost.net.webhook_url import parse as parse_hook

    if not provider.secrets:
        raise ValueError('a webhook needs a secret: "secrets": ["whsec_..."]')
    return WebhookChannel(
        name,
        parse_hook(url),
        [secret(one.get_secret_value()) for one in provider.secrets],
        allow_private=provider.allow_private,
        attempt_seconds=seconds,
        kind=provider.kind or "webhook",
    )


def _serves(provider: Provider, kind: str) -> None:
    if provider.kind not in (None, kind):
        raise ValueError(f'its kind is always "{kind}"; remove kind')
