"""Where a running `waypost up` is, for the other commands: a file in its home."""

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
    """Another `waypost up` uses the same home. found: which, for a command with other advice."""

    def __init__(self, found: str) -> None:
        super().__init__(f"{found}; stop it, or set WAYPOST_HOME to another folder")
        self.found = found


class Mailbox(BaseModel):
    """The development mailbox it runs: where mail goes, where texts go, and where both are kept."""

    folder: Path
    smtp_url: str
    texts_url: str

    @property
    def page(self) -> str:
        """The address of the page that shows both."""
        return f"http://{urlsplit(self.texts_url).netloc}/"


class Instance(BaseModel):
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


def find(home: Path) -> Instance | None:
    """The `waypost up` that is running in `home`, if one is."""
    left = _left(home)
    # The lock alone may be of an `up` that is starting, the pid alone of a later process.
    return left if left and _is_locked(home) and _lives(left.pid) else None


def unfinished(home: Path) -> str:
    """What `waypost up` does in `home` where `find` finds none: that it is starting, or was killed. Empty
    where it stopped as it should, or never ran."""
    if _is_locked(home):
        return "" if find(home) else "`waypost up` is starting here"
    left = _left(home)
    killed = "ended without stopping: it was killed, or the machine was"
    return f"`waypost up` (pid {left.pid}) {killed}" if left else ""


def _left(home: Path) -> Instance | None:
    """What the last `waypost up` in `home` published and has not taken away."""
    try:
        return Instance.model_validate_json((home / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def _is_locked(home: Path) -> bool:
    """Whether a process holds `only_one` of `home`."""
    try:
        with (home / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def published(home: Path, here: Instance) -> Generator[None]:
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
    """Hold the home for this process. Raises AlreadyRunning naming the other's pid."""
    with (home / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = find(home)
            who = f" (pid {other.pid})" if other else ""
            raise AlreadyRunning(f"another `waypost up`{who} uses {home}") from None
        yield


def ui(settings: Settings) -> str | None:
    """Where the Prefect UI is, without a slash at the end: as the environment names it or its API, or that
    of the running `waypost up`. None when nothing says."""
    if named := os.environ.get("PREFECT_UI_URL"):
        return named.rstrip("/")
    here = find(settings.home)
    api = os.environ.get("PREFECT_API_URL") or (here.api if here else "")
    address, served, _ = api.rstrip("/").rpartition("/api")
    if not served or not api.rstrip("/").endswith("/api"):
        return None
    scheme, host, path, *_ = urlsplit(address)
    return f"{scheme}://{host.rpartition('@')[2]}{path}"


def to_reach_prefect(home: Path) -> str:
    """What to do if no Prefect API responds to a command in `home`."""
    here, named = find(home), os.environ.get("PREFECT_API_URL")
    if here and here.embedded and named in (None, here.api):  # `connect` sets the variable too
        return f"`waypost up` (pid {here.pid}) starts its Prefect server again: see its log, or restart it"
    if named:
        return "start that server, or `unset PREFECT_API_URL`, then `waypost up`"
    return "start `waypost up`, or set PREFECT_API_URL to a running server"


def connect(settings: Settings) -> Settings:
    """Point this process at a running `waypost up` wherever the environment leaves it open.

    Call it before Prefect is imported: Prefect reads its environment once.
    """
    found = find(settings.home)
    return pointed_at(settings, found) if found else settings


def pointed_at(settings: Settings, here: Instance) -> Settings:
    """`settings` with the servers of `here` where they name none; Prefect's go to the environment."""
    if here.embedded and not os.environ.get("PREFECT_API_URL"):
        os.environ["PREFECT_API_URL"] = here.api
        os.environ["PREFECT_HOME"] = str(settings.home / "prefect")
        if login := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):  # what its own server asks for
            os.environ.setdefault("PREFECT_API_AUTH_STRING", login)
    if here.mailbox is None or names_mail(settings):
        return settings
    filled = {"smtp_url": SecretStr(here.mailbox.smtp_url)}
    if settings.fallback_url is None:
        filled["fallback_url"] = SecretStr(here.mailbox.texts_url)
    return settings.model_copy(update=filled)


def names_mail(settings: Settings) -> bool:
    """Whether `settings` name who takes mail. The development mailbox is nobody's then, or it would come
    before them, and what is meant for people would end in its folder."""
    if settings.smtp_url is not None or settings.smtp_backup_url is not None:
        return True
    return any(_serves_mail(provider) for provider in settings.providers.values())


def _serves_mail(provider: Provider) -> bool:
    scheme = provider.url.get_secret_value().partition(":")[0].lower()
    return provider.kind == "email" or scheme in ("smtp", "smtps", "maildir")
