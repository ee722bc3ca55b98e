"""Every setting, read from the environment as `WAYPOST_<NAME>`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import platformdirs
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from waypost.model.locale import known_locale, known_timezone
from waypost.model.provider import Provider, ProviderName

PREFIX = "WAYPOST_"
ROOT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Where Waypost keeps its data and which servers it speaks to.

    By default everything is embedded: SQLite files under `home`, and the servers of `waypost up`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True)

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("waypost")),
        description="Folder of the ledger, the embedded Prefect server, keys and development mails.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Ledger: postgresql://user:password@host/name, or sqlite:///file. "
        "Default: ledger.db under home.",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="Primary mail server: smtp://user:password@host:587?connections=8, or smtps://.",
    )
    smtp_backup_url: SecretStr | None = Field(
        default=None, description="Mail server that takes what the primary refuses."
    )
    fallback_url: SecretStr | None = Field(
        default=None,
        description="Apprise URL for SMS, chat, push and webhooks; {phone}, {email} and {id} in it "
        "stand for the recipient's.",
    )
    providers: Annotated[dict[ProviderName, Provider], NoDecode] = Field(
        default={},
        description="More providers, by name, as JSON, after those above: "
        '{"ses": {"url": "smtps://...", "rate": 14}}; docs/providers.md has their terms.',
    )
    sender: str = Field(
        default="Waypost <no-reply@waypost.example>",
        description="From of every mail. The default goes to servers of this machine alone.",
    )
    signature: str = Field(default="", description="Lines at the foot of every mail.")
    submission_senders: str = Field(
        default="",
        description="Addresses and domains, separated by commas, that mails submitted whole may be from, "
        "beside the sender's own domain.",
    )
    internal_domains: str = Field(
        default="",
        description="Domains of your own network that recipients may have, separated by commas: "
        "corp.local,intranet,localhost. What lies below them is meant too.",
    )
    submission_megabytes: Annotated[float, Field(gt=0, le=50)] = Field(
        default=10.0, description="What a mail submitted whole may have, in millions of bytes."
    )
    dkim_key: SecretStr | None = Field(
        default=None,
        description="Private key that signs every mail, RSA or Ed25519: a file, or the key as PEM or base64. "
        "Several are separated by commas.",
    )
    dkim_selector: str = Field(
        default="",
        description="Name the public key is published under; as many as there are keys, separated by commas.",
    )
    dkim_domain: str = Field(default="", description="Domain that signs. Default: the sender's.")
    dkim_unsigned: str = Field(
        default="",
        description="Header fields that a provider rewrites, separated by commas, so that no signature "
        "covers them: Date, Message-ID for Amazon SES.",
    )
    attachment_megabytes: Annotated[float, Field(gt=0)] = Field(
        default=10.0, description="What a mail's attachments may have, in millions of bytes before encoding."
    )
    default_locale: str = Field(default="en", description="For recipients without one.")
    default_timezone: str = Field(default="UTC", description="For recipients without one.")
    templates: Path = Field(default=ROOT / "templates", description="Folder of templates.")
    secret_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Key of codes, links and the secrets of webhooks, 16 characters or more. "
        "Default: made once, kept in secret.key under home.",
    )
    work_pool: str = Field(default="waypost", min_length=1, description="Prefect work pool.")
    poll_seconds: Annotated[float, Field(gt=0)] = Field(
        default=0.15,
        description="How often a resident worker asks Prefect for work, where Prefect does not tell of it.",
    )
    attempt_seconds: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="Outer limit of one attempt to send, whatever each step takes."
    )
    lease_seconds: Annotated[float, Field(gt=1)] = Field(
        default=30.0, description="How long a run holds its work without a sign of life."
    )
    retention_days: Annotated[float, Field(ge=1)] | None = Field(
        default=None,
        description="Days, at least 1, after which what has ended leaves the ledger: idempotency keys are "
        "promised for a day. Default: never.",
    )
    digest_cron: str = Field(default="0 8 * * *", description="When the digest is first scheduled.")
    webhooks_allow_private: bool = Field(
        default=False,
        description="Whether the gateway's webhooks may lead to private networks and this machine, by http "
        "too on it.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="OpenID Connect issuer whose access tokens the gateway takes beside API keys: "
        "https://login.example.com/realms/shop.",
    )
    oidc_audience: str | None = Field(
        default=None,
        validate_default=True,
        description="Audience that such a token must be for; goes with WAYPOST_OIDC_ISSUER.",
    )
    oidc_rate: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Requests a second that each client with such tokens may make. Unlimited when unset.",
    )

    @field_validator("providers", mode="before")
    @classmethod
    def _as_json(cls, value: object) -> object:
        """Parsed here, not by the settings source, whose error is a traceback that contains the value."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError('not JSON such as {"ses": {"url": "smtps://user:password@host"}}') from None

    @field_validator("sender")
    @classmethod
    def _one_sender(cls, value: str) -> str:
        from waypost.mail.headers import parse_mailbox

        parse_mailbox(value)
        return value

    @field_validator("submission_senders")
    @classmethod
    def _addresses_and_domains(cls, value: str) -> str:
        from waypost.mail.allowed_senders import Senders

        Senders.parse(value)
        return value

    @field_validator("internal_domains")
    @classmethod
    def _domains(cls, value: str) -> str:
        from waypost.mail.internal_domains import parse

        parse(value)
        return value

    @field_validator("default_locale")
    @classmethod
    def _one_locale(cls, value: str) -> str:
        return known_locale(value)

    @field_validator("default_timezone")
    @classmethod
    def _one_timezone(cls, value: str) -> str:
        return known_timezone(value)

    @field_validator("oidc_issuer")
    @classmethod
    def _one_issuer(cls, value: str | None) -> str | None:
        from waypost.net.hosts import is_issuer

        if value is not None and not is_issuer(value):
            raise ValueError("not the https:// address of an issuer (http:// is for this machine alone)")
        return value

    @field_validator("oidc_audience")
    @classmethod
    def _goes_with_an_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "oidc_issuer" in info.data and bool(value) is not bool(info.data["oidc_issuer"]):
            raise ValueError("goes with WAYPOST_OIDC_ISSUER: set both, or neither")
        return value

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @cached_property
    def ledger_url(self) -> str:
        """The ledger's URL with its async driver named."""
        if self.database_url is None:
            return sqlite_url(self.home / "ledger.db")
        return with_async_driver(self.database_url.get_secret_value())


def unknown(names: Iterable[str]) -> list[str]:
    """The `names` that begin with WAYPOST_ but are not settings, each with the nearest setting. Without this
    a misspelt setting would be ignored silently."""
    known = {name.upper() for name in Settings.model_fields}
    found: list[str] = []
    for name in sorted(names):
        said = name.upper().removeprefix(PREFIX)
        if not name.upper().startswith(PREFIX) or said in known or said.startswith("TEST_"):
            continue
        near = [f"; did you mean {PREFIX}{one}?" for one in get_close_matches(said, known, 1)]
        found.append(f"{name} is not a setting{''.join(near)}")
    return found


def sqlite_url(file: Path, driver: str = "sqlite") -> str:
    """SQLAlchemy's URL of a SQLite file. A path with characters that are special in a URL is written as
    SQLite's own file: URI (https://sqlite.org/uri.html)."""
    escaped = quote(str(file))
    return f"{driver}:///{file}" if escaped == str(file) else f"{driver}:///file:{escaped}?uri=true"


def with_async_driver(url: str) -> str:
    """`url` for SQLAlchemy's asyncio. Raises ValueError for other databases, without the password."""
    scheme, separator, rest = url.partition("://")
    driver = {"postgres": "postgresql+asyncpg", "postgresql": "postgresql+asyncpg"}.get(
        scheme.partition("+")[0], "sqlite" if scheme.startswith("sqlite") else ""
    )
    if not separator or not driver:
        raise ValueError(
            "WAYPOST_DATABASE_URL: this database is not supported; "
            "use postgresql://user:password@host/name or sqlite:///file"
        )
    return f"{driver}://{rest}"


def prepare_home(settings: Settings) -> Path:
    """Make the data folder, readable by its owner alone."""
    settings.home.mkdir(parents=True, exist_ok=True)
    os.chmod(settings.home, 0o700)
    return settings.home
