"""A Maildir on disk: mail is written to tmp/, synced, moved to new/ (https://cr.yp.to/proto/maildir.html)."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from itertools import count
from pathlib import Path
from uuid import UUID

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.send_gate import SendGate
from waypost.model.notification import Message
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy import classify
from waypost.system.clock import now

_OF_THE_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP}
_NO_SYNC_OF_FOLDERS = {errno.EINVAL, errno.ENOTSUP}
_TAKEN = "written to the folder"
_numbers = count(1)


class MaildirFolder:
    """One Maildir. Every method waits for the disk: call them in a thread.

    Files that a crash leaves in tmp/ are removed by mail readers after 36 hours, as the format says.
    """

    def __init__(self, channel: str, folder: Path) -> None:
        self._channel = channel
        self._folder = folder

    def prepare(self) -> None:
        """Create the folders that are missing, for their owner alone. Raises ChannelUnavailable."""
        try:
            for place in (self._folder, *(self._folder / part for part in ("tmp", "new", "cur"))):
                _make(place)
        except OSError as error:
            raise self.unavailable(_reason(error)) from None
        if not all(os.access(self._folder / part, os.W_OK | os.X_OK) for part in ("tmp", "new")):
            raise self.unavailable("no permission to write, or read-only")

    def deliver(self, message: Message, gate: SendGate) -> Outcome:
        """Write `message` to tmp/, then move it to new/ if `gate` allows.

        Raises ChannelUnavailable when the folder cannot be used: nothing was delivered.
        """
        self.prepare()
        gate.phase = Phase.DATA
        notification = message.notification
        if notification.in_doubt and self._holds(notification.id):
            gate.commit()
            return self._settle("already written by an earlier attempt")
        name = _name(notification.id)
        part = self._folder / "tmp" / name
        try:
            _write(part, message.content.replace(b"\r\n", b"\n"))  # as files on this machine end lines
        except OSError as error:
            return self._not_taken(error)
        if not gate.commit():
            _remove(part)
            return gate.cut_off("cancelled")
        return self._move(part, self._folder / "new" / name)

    def _move(self, part: Path, whole: Path) -> Outcome:
        try:
            os.rename(part, whole)
        except OSError as error:
            if not os.path.lexists(part):  # on a network file system, the response to a move may be lost
                return classify.lost(Phase.DOT, f"the move into the folder failed ({_reason(error)})")
            _remove(part)
            return self._not_taken(error)
        return self._settle(_TAKEN)

    def _settle(self, words: str) -> Outcome:
        """The mail can be read. Sync the folder, so that the mail survives a power cut."""
        try:
            _sync_folder(self._folder / "new")
        except OSError as error:
            return classify.lost(Phase.DOT, f"{words}, but not made durable ({_reason(error)})")
        return Outcome(Verdict.ACCEPTED, Phase.DOT, words=words)

    def _not_taken(self, error: OSError) -> Outcome:
        if error.errno in _OF_THE_FOLDER:
            raise self.unavailable(_reason(error)) from None
        verdict = Verdict.REFUSED if error.errno == errno.EFBIG else Verdict.DEFERRED
        return Outcome(verdict, Phase.DATA, words=_reason(error))

    def _holds(self, id: UUID) -> bool:
        try:
            return any(str(id) in name for part in ("new", "cur") for name in os.listdir(self._folder / part))
        except OSError:
            return False  # a duplicate does less harm than a lost mail

    def unavailable(self, reason: str) -> ChannelUnavailable:
        """The error for a folder that cannot be used. The folder's name is left out."""
        return ChannelUnavailable(self._channel, f"the folder cannot be used ({reason})")


def _name(id: UUID) -> str:
    """A unique file name that holds the notification's id: `seconds.unique.host`."""
    moment = now()
    host = socket.gethostname().replace("/", r"\057").replace(":", r"\072")
    unique = f"M{moment.microsecond}P{os.getpid()}Q{next(_numbers)}I{id}"
    return f"{int(moment.timestamp())}.{unique}.{host}"


def _make(folder: Path) -> None:
    if folder.is_dir():
        return
    with suppress(FileExistsError):  # another process may create it; a file in its place is noticed below
        os.mkdir(folder, 0o700)
        _sync_folder(folder.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def _write(path: Path, content: bytes) -> None:
    """Write and sync a file that only its owner can read. Raises OSError; then no file is left."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        _remove(path)
        raise


def _sync_folder(folder: Path) -> None:
    """Raises OSError, but not if the file system cannot sync folders."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC_OF_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _reason(error: OSError) -> str:
    """`No space left on device`, without the path that an OSError repeats."""
    return os.strerror(error.errno) if error.errno else type(error).__name__
