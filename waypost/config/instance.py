"""Tells other commands where a running `waypost up` is, by a file in its home."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from waypost.config.settings import Settings
from waypost.model.provider import Provider

FILE = "running.json"


class AlreadyRunning(RuntimeError):
    """Another `waypost up` uses the same home. found: names it, for a command that gives other advice."""

    def __init__(self, found: str) -> None:
        super().__init__(f"{found}; stop it, or set WAYPOST_HOME to another folder")
        self.found = found


class Mailbox(BaseModel):
    """The development mailbox of `waypost up`: the URLs for mail and texts, and the folder of both."""

    folder: Path
    smtp_url: str
    texts_url: str


class Place(BaseModel):
    """What a running `waypost up` serves. It names only servers it started, so it holds no secret.

    api: the Prefect API's URL. gateway: the gateway's URL."""

    pid: int
    api: str
    embedded: bool
    mailbox: Mailbox | None = None
    gateway: str | None = None

    @property
    def ui(self) -> str:
        """The Prefect UI's address."""
        return self.api.removesuffix("/api")


def find(home: Path) -> Place | None:
    """The `waypost up` that is running in `home`, if one is."""
    found: Place | None = None
    try:
        found = Place.model_validate_json((home / FILE).read_bytes())
        with (home / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return found  # the lock is held, so the process lives; its pid may be reused by another
    except (OSError, ValidationError):
        return None
    return None


def unfinished(home: Path) -> str:
    """If `find` finds no `waypost up` in `home`: a text that it is starting, or was killed. Empty if it
    stopped normally, or never ran."""
    path = home / FILE
    try:
        with (home / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        pid = Place.model_validate_json(path.read_bytes()).pid
    except BlockingIOError:
        return "" if path.exists() else "`waypost up` is starting here"
    except (OSError, ValidationError):
        return ""
    return f"`waypost up` (pid {pid}) ended here without stopping: it was killed, or the machine was"


@contextmanager
def published(home: Path, here: Place) -> Generator[None]:
    """Let other commands find `here` for the length of the block."""
    path = home / FILE
    part = path.with_suffix(".part")
    part.write_text(here.model_dump_json())
    part.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def only_one(home: Path) -> Generator[None]:
    """Lock the home for this process. Raises AlreadyRunning naming the other process's pid."""
    with (home / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = find(home)
            who = f" (pid {other.pid})" if other else ""
            raise AlreadyRunning(f"another `waypost up`{who} uses {home}") from None
        (home / FILE).unlink(missing_ok=True)  # left by a killed process: its servers are gone
        yield


def ui(settings: Settings) -> str | None:
    """The Prefect UI's URL, without a slash at the end: from PREFECT_UI_URL, PREFECT_API_URL or the running
    `waypost up`. None if it is unknown."""
    if named := os.environ.get("PREFECT_UI_URL"):
        return named.rstrip("/")
    here = find(settings.home)
    api = os.environ.get("PREFECT_API_URL") or (here.api if here else "")
    address, served, _ = api.rstrip("/").rpartition("/api")
    if not served or not api.rstrip("/").endswith("/api"):
        return None
    scheme, host, path, *_ = urlsplit(address)
    return f"{scheme}://{host.rpartition('@')[2]}{path}"


def connect(settings: Settings) -> Settings:
    """Point this process at a running `waypost up`, for the servers that the environment does not name.

    Call it before Prefect is imported: Prefect reads its environment once.
    """
    found = find(settings.home)
    return pointed_at(settings, found) if found else settings


def pointed_at(settings: Settings, here: Place) -> Settings:
    """`settings` with the servers of `here` where they name none; Prefect's go into the environment."""
    if here.embedded and not os.environ.get("PREFECT_API_URL"):
        os.environ["PREFECT_API_URL"] = here.api
        os.environ["PREFECT_HOME"] = str(settings.home / "prefect")
        if login := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):  # its own server requires it
            os.environ.setdefault("PREFECT_API_AUTH_STRING", login)
    if here.mailbox is None or names_mail(settings):
        return settings
    filled = {"smtp_url": SecretStr(here.mailbox.smtp_url)}
    if settings.fallback_url is None:
        filled["fallback_url"] = SecretStr(here.mailbox.texts_url)
    return settings.model_copy(update=filled)


def names_mail(settings: Settings) -> bool:
    """Whether `settings` name a provider for mail. The development mailbox is not used then: it would come
    before that provider, and mail for people would end in its folder."""
    if settings.smtp_url is not None or settings.smtp_backup_url is not None:
        return True
    return any(_serves_mail(provider) for provider in settings.providers.values())


def _serves_mail(provider: Provider) -> bool:
    scheme = provider.url.get_secret_value().partition(":")[0].lower()
    return provider.kind == "email" or scheme in ("smtp", "smtps", "maildir")
