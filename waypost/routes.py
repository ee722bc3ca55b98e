"""The providers a settings file names, and the steps a type's route takes through them."""

from __future__ import annotations

from collections.abc import Sequence

from waypost.channels import Channel
from waypost.channels.smtp import SmtpChannel
from waypost.channels.smtp_url import SmtpServer, parse
from waypost.mail.build import Sender
from waypost.settings import Settings


def providers(settings: Settings) -> list[Channel]:
    """Every provider the settings name, in order of preference within its kind.

    Raises ValueError naming the setting that is wrong, never its value.
    """
    found: list[Channel] = []
    sender = Sender.parse(settings.sender).address
    for name, setting, url in (
        ("smtp", "WAYPOST_SMTP_URL", settings.smtp_url),
        ("smtp-backup", "WAYPOST_SMTP_BACKUP_URL", settings.smtp_backup_url),
    ):
        if url is not None:
            server = smtp_server(setting, url.get_secret_value())
            found.append(_smtp(setting, name, server, sender, settings.attempt_seconds))
    if settings.fallback_url is not None:
        # Imported here: Apprise takes a second, and many installations have no fallback.
        from waypost.channels.apprise import AppriseChannel

        try:
            url = settings.fallback_url.get_secret_value()
            found.append(AppriseChannel("apprise", "*", url, settings.attempt_seconds))
        except ValueError as error:
            raise ValueError(f"WAYPOST_FALLBACK_URL: {error}") from None
    return found


def _smtp(setting: str, name: str, server: SmtpServer, sender: str, attempt_seconds: float) -> SmtpChannel:
    try:
        return SmtpChannel(name, server, sender, attempt_seconds)
    except OSError:
        raise ValueError(f"{setting}: ca= names no file of certificates that can be read") from None


def smtp_server(setting: str, url: str) -> SmtpServer:
    """The server `url` names. Raises ValueError that begins with the setting's name."""
    try:
        return parse(url)
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None


def steps(route: Sequence[str], available: Sequence[Channel]) -> list[tuple[str, Channel]]:
    """The ways a type's route offers, in order: every provider of each kind it names.

    An Apprise URL (kind "*") serves any kind but mail, once.
    """
    taken: list[tuple[str, Channel]] = []
    for kind in route:
        for channel in available:
            fits = channel.kind == kind or (channel.kind == "*" and kind != "email")
            if fits and channel not in (used for _, used in taken):
                taken.append((kind, channel))
    return taken


def why_unreached(route: Sequence[str], reached: Sequence[str], served: Sequence[str]) -> str:
    """Why a recipient who has an address for the kinds `reached` cannot be sent to while only the kinds
    `served` have a provider, and which setting would change that."""
    lacking = [kind for kind in route if kind not in reached]
    unserved = [kind for kind in route if kind in reached and kind not in served]
    if not unserved:
        return "the provider it was to go to next is set no more: see WAYPOST_SMTP_BACKUP_URL"
    settings = " and ".join(dict.fromkeys(map(_setting, unserved)))
    without = f"the recipient has no address for {' or '.join(lacking)}, and " if lacking else ""
    return f"{without}no provider is set for {' or '.join(unserved)}: see {settings}"


def _setting(kind: str) -> str:
    return "WAYPOST_SMTP_URL" if kind == "email" else "WAYPOST_FALLBACK_URL"
