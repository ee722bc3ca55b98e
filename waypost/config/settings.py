"""Every setting, read from the environment as `WAYPOST_<NAME>`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import platformdirs
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from waypost.model.brand import DEFAULT, NO_TERMS, BrandName, BrandTerms
from waypost.model.category import Category, CategoryTerms
from waypost.model.locale import known_locale, known_timezone
from waypost.model.provider import Provider, ProviderName
from waypost.model.source import Source

PREFIX = "WAYPOST_"
SHIPPED = Path(__file__).resolve().parents[1]  # the package, with the shipped flows/ and templates/


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # its folder cannot be read
        return False


_LONGEST_URL = 200  # characters of an address that links begin with
# By setting.
_EXAMPLES = {
    "providers": '{"ses": {"url": "smtps://user:password@host"}}',
    "brands": '{"acme": {"sender": "Acme <no-reply@acme.example>"}}',
    "categories": '{"marketing": {"quiet_hours": "22:00-08:00"}}',
    "sources": '{"membership-expiry": {"file": "members.csv"}}',
}


class CancelledRuns(StrEnum):
    """What becomes of the unsent notifications of a run that a person cancels in Prefect."""

    HOLD = "hold"  # a person retries them
    RESEND = "resend"  # they go out with another run


def _readable(folder: Path) -> Path:
    """The folder. Raises ValueError if it is missing or cannot be read."""
    try:
        os.listdir(folder)
    except OSError as error:
        raise ValueError(f"the folder {folder} cannot be read ({error.strerror})") from None
    return folder


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
        default=None, description="Backup mail server, for mail that the primary refuses."
    )
    fallback_url: SecretStr | None = Field(
        default=None,
        description="Apprise URL for SMS, chat, push and webhooks. {phone}, {email} and {id} in it "
        "stand for the recipient's.",
    )
    providers: Annotated[dict[ProviderName, Provider], NoDecode] = Field(
        default={},
        description='More providers, by name, as JSON: {"ses": {"url": "smtps://...", "rate": 14}}. '
        "They come after those above; `waypost docs providers` describes them.",
    )
    sender: str = Field(
        default="Waypost <no-reply@waypost.example>",
        description="From of every mail. The default works only with mail servers on this machine.",
    )
    signature: str = Field(default="", description="Lines at the end of every mail.")
    reply_to: str = Field(
        default="",
        description="Reply-To of every mail, unless its type has its own: Support <support@shop.example>. "
        "The shipped mails name this address for questions.",
    )
    brands: Annotated[dict[BrandName, BrandTerms], NoDecode] = Field(
        default={},
        description='More brands, by name, as JSON: {"acme": {"sender": "Acme <no-reply@acme.example>"}}. '
        "The name default changes the brand that the settings above make; "
        "`waypost docs brands` describes them.",
    )
    categories: Annotated[dict[Category, CategoryTerms], NoDecode] = Field(
        default={},
        description="What recipients may choose, and when they are left in peace, by category, as JSON: "
        '{"marketing": {"quiet_hours": "22:00-08:00", "at_most": {"count": 3, "days": 7}}}. '
        "`waypost docs recipients` describes them.",
    )
    public_url: str | None = Field(
        default=None,
        description="Address under which recipients reach the pages of `waypost gateway --public`: "
        "https://mail.shop.example. Mails then say how to unsubscribe. "
        "`waypost docs preference-page` describes it.",
    )
    unsubscribe_address: str = Field(
        default="",
        description="Address whose mails your mail server pipes to `waypost unsubscribe`: "
        "unsubscribe@mail.shop.example. Mails then name it in List-Unsubscribe. "
        "`waypost docs preference-page` describes it.",
    )
    submission_senders: str = Field(
        default="",
        description="Addresses and domains, separated by commas, that submitted mails may be from, "
        "besides the sender's own domain.",
    )
    internal_domains: str = Field(
        default="",
        description="Internal domains that recipients may have, with their subdomains, separated by "
        "commas: corp.local,intranet,localhost.",
    )
    submission_megabytes: Annotated[float, Field(gt=0, le=50)] = Field(
        default=10.0, description="Largest submitted mail, in millions of bytes."
    )
    dkim_key: SecretStr | None = Field(
        default=None,
        description="Private key that signs every mail, RSA or Ed25519: a file, or the key as PEM or "
        "base64. Separate several keys by commas.",
    )
    dkim_selector: str = Field(
        default="",
        description="Selector under which the public key is published; one for each key, separated by "
        "commas.",
    )
    dkim_domain: str = Field(
        default="",
        description="Domain in the signature, or a domain for each key, separated by commas. Default: the "
        "sender's.",
    )
    dkim_unsigned: str = Field(
        default="",
        description="Header fields that signatures must not cover because a provider rewrites them, "
        "separated by commas: Date, Message-ID for Amazon SES.",
    )
    attachment_megabytes: Annotated[float, Field(gt=0)] = Field(
        default=10.0,
        description="Largest total of a mail's attachments, in millions of bytes before encoding.",
    )
    default_locale: str = Field(default="en", description="Locale of recipients without a locale.")
    default_timezone: str = Field(default="UTC", description="Time zone of recipients without a time zone.")
    project: Path = Field(
        default_factory=Path.cwd,
        description="Folder of your project, with its flows/ and templates/.",
    )
    templates: Path = Field(
        default=Path("templates"),
        validate_default=True,
        description="Folder of your templates, in the project or elsewhere. The shipped templates are "
        "searched after it.",
    )
    shipped_types: str = Field(
        default="all", description="Shipped types to use: all, none, or names separated by commas."
    )
    secret_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Key for codes, links and the secrets of webhooks, at least 16 characters. "
        "Default: created once, in secret.key under home.",
    )
    data_keys: SecretStr | None = Field(
        default=None,
        description="Keys of personal data in the ledger, the newest first: `2027:` and 32 octets in base64, "
        "separated by commas; or `file:` and the path of a file with them. Default: derived from the secret "
        "key. docs/personal-data.md describes them.",
    )
    work_pool: str = Field(default="waypost", min_length=1, description="Prefect work pool.")
    prefect_reports: bool = Field(
        default=True,
        description="Whether Prefect gets the dashboard, the tables and the events of Waypost, besides runs "
        "and their states.",
    )
    render_process: bool = Field(
        default=True,
        description="Whether a worker renders large batches in a second process, where there is a second "
        "processor.",
    )
    poll_seconds: Annotated[float, Field(gt=0)] = Field(
        default=0.15,
        description="Seconds between polls of a resident worker, for runs that Prefect does not announce.",
    )
    attempt_seconds: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="Limit of one attempt to send, in seconds, all steps included."
    )
    lease_seconds: Annotated[float, Field(gt=1)] = Field(
        default=30.0, description="Seconds without a heartbeat until a run loses its work."
    )
    cancelled_runs: CancelledRuns = Field(
        default=CancelledRuns.HOLD,
        description="Unsent notifications of a run that is cancelled in Prefect: hold (a person retries "
        "them) or resend (they go out with another run).",
    )
    retention_days: Annotated[float, Field(ge=1)] | None = Field(
        default=None,
        description="Days, at least 1, until ended notifications are deleted. Idempotency keys last "
        "a day. Default: never.",
    )
    digest_cron: str = Field(
        default="0 8 * * *", description="First schedule of the digest: a cron expression."
    )
    sources: Annotated[dict[str, Source], NoDecode] = Field(
        default={},
        description='Who is due, for types that remind on a schedule, as JSON: {"membership-expiry": '
        '{"file": "members.csv"}}, or {"url": "postgresql://...", "query": "SELECT ..."}. `waypost docs '
        "types` describes them.",
    )
    webhooks_allow_private: bool = Field(
        default=False,
        description="Whether the gateway's webhooks may lead to private networks and to this "
        "machine, there also over http.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="OpenID Connect issuer whose access tokens the gateway accepts, like API keys: "
        "https://login.example.com/realms/shop.",
    )
    oidc_audience: str | None = Field(
        default=None,
        validate_default=True,
        description="Audience that these tokens must have. Set it together with WAYPOST_OIDC_ISSUER.",
    )
    oidc_rate: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Requests a second of each client with such tokens. Default: unlimited.",
    )

    @field_validator("providers", "brands", "categories", "sources", mode="before")
    @classmethod
    def _as_json(cls, value: object, info: ValidationInfo) -> object:
        """Parsed here, not by the settings source, whose error is a traceback that contains the value."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"not JSON such as {_EXAMPLES[str(info.field_name)]}") from None

    @field_validator("brands")
    @classmethod
    def _with_senders(cls, value: dict[str, BrandTerms]) -> dict[str, BrandTerms]:
        """Only the default brand has another sender, that of the settings."""
        for name, terms in value.items():
            if name != DEFAULT and terms.sender is None:
                raise ValueError(f"{name}.sender: missing")
        return value

    @field_validator("home", "project")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.absolute()

    @field_validator("home")
    @classmethod
    def _can_be_a_folder(cls, value: Path) -> Path:
        """The home is made if it is missing."""
        there = next((path for path in (value, *value.parents) if _is_there(path)), None)
        if there is not None and not os.path.isdir(there):
            raise ValueError(f"{there} is not a folder")
        return value

    @field_validator("project")
    @classmethod
    def _there(cls, value: Path) -> Path:
        return _readable(value)

    @field_validator("templates")
    @classmethod
    def _there_if_named(cls, value: Path, info: ValidationInfo) -> Path:
        """The project needs no templates/ of its own."""
        folder = info.data.get("project", Path()) / value
        if value != Path("templates") or os.path.isdir(folder):
            _readable(folder)
        return value

    @field_validator("sender")
    @classmethod
    def _one_sender(cls, value: str) -> str:
        if value != cls.model_fields["sender"].default:  # the default is valid, and checking takes a while
            from waypost.mail.headers import parse_mailbox

            parse_mailbox(value)
        return value

    @field_validator("reply_to")
    @classmethod
    def _one_address_if_any(cls, value: str) -> str:
        from waypost.mail.headers import reply_to

        if value:
            reply_to(value)
        return value

    @field_validator("unsubscribe_address")
    @classmethod
    def _one_plain_address(cls, value: str) -> str:
        from waypost.mail.address import plain_address

        return plain_address(value) if value else ""

    @field_validator("public_url")
    @classmethod
    def _one_public_url(cls, value: str | None) -> str | None:
        """Without a slash at its end, so that paths can follow."""
        from waypost.net.hosts import is_issuer

        if value is None:
            return None
        if not (is_issuer(value) and value.isascii() and len(value) <= _LONGEST_URL):
            raise ValueError(
                "not an https:// address such as https://mail.shop.example, with a path at most "
                "(http:// is only for this machine)"
            )
        return value.rstrip("/")

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
            raise ValueError("not the https:// address of an issuer (http:// is only for this machine)")
        return value

    @field_validator("data_keys")
    @classmethod
    def _a_key_ring(cls, value: SecretStr | None) -> SecretStr | None:
        from waypost.config.named_keys import named_keys

        if value is not None:
            named_keys(value.get_secret_value())
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

    @property
    def default_sender(self) -> str:
        """From of the default brand's mails."""
        return self.brands.get(DEFAULT, NO_TERMS).sender or self.sender

    @property
    def template_folders(self) -> tuple[Path, ...]:
        """The folders of templates, the first to search first: the project's, if there, and the shipped."""
        own, shipped = self.project / self.templates, SHIPPED / "templates"
        return (own, shipped) if os.path.isdir(own) and not own.samefile(shipped) else (shipped,)

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
