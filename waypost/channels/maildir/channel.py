"""Writes mail into a Maildir: each message is a file that any mail reader on this machine can open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.maildir.folder import MaildirFolder
from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.channels.redacted import RedactedChannel
from waypost.channels.send_gate import SendGate
from waypost.model.notification import Message
from waypost.model.outcome import Outcome
from waypost.policy import classify
from waypost.system.isolation import ItemFailed, isolated

T = TypeVar("T")


class MaildirChannel(RedactedChannel):
    """A Maildir of this machine. A missing folder is created; its parent folder is not.

    Disk access runs in threads of the channel's own, so that a file system that hangs blocks nothing else.
    """

    kind = "email"

    def __init__(self, name: str, folder: Path, attempt_seconds: float = 60.0, permits: int = 4) -> None:
        """folder: an absolute path. permits: how many files are written at once."""
        super().__init__(name)
        self.permits = PrioritySemaphore(permits)
        self._folder = MaildirFolder(name, folder)
        self._attempt_seconds = attempt_seconds
        self._under_way: dict[asyncio.Task[Any] | None, SendGate] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def _open(self) -> None:
        """Create the folder if it is missing. Raises ChannelUnavailable when it cannot be written to."""
        try:
            async with asyncio.timeout(self._attempt_seconds):
                await self._in_thread(self._folder.prepare)
        except TimeoutError:
            raise self._folder.unavailable(f"no response within {self._attempt_seconds:g} s") from None

    async def _send(self, message: Message) -> Outcome:
        """Write one message and move it into the folder, with one limit around it all."""
        if message.notification.expired:
            return classify.too_late()
        task = asyncio.current_task()
        gate = self._under_way[task] = SendGate()
        try:
            async with asyncio.timeout(self._attempt_seconds) as gate.limit:
                with isolated("sending", TimeoutError, ChannelUnavailable, item=message.notification.id):
                    return await self._in_thread(lambda: self._folder.deliver(message, gate))
        except TimeoutError:
            return gate.cut_off(f"not written within {self._attempt_seconds:g} s")
        except ItemFailed as failed:
            return gate.broken(str(failed))
        finally:
            gate.cancel()  # the thread of a send that was cancelled must not deliver afterwards
            self._under_way.pop(task, None)

    def cancel_sends(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """End the sends. A file that was not moved into the folder yet never will be."""
        for task in tasks:
            if gate := self._under_way.get(task):
                gate.stop()

    async def close(self) -> None:
        """Does not wait for a thread that hangs."""
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.permits.most, thread_name_prefix=f"maildir-{self.name}")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def parse(url: str) -> Path:
    """The folder that `maildir:///absolute/path` names. Raises ValueError, never repeating the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("not a URL such as maildir:///var/mail/waypost") from None
    if parts.scheme != "maildir":
        raise ValueError("a Maildir URL must begin with maildir://")
    if parts.netloc:
        raise ValueError("a Maildir URL must not have a host, user or password: maildir:///absolute/path")
    if parts.query or parts.fragment:
        raise ValueError("a Maildir URL has no options; percent-encode ? and # in its path")
    path = unquote(parts.path, errors="surrogateescape")  # a folder's name is bytes, of any encoding
    if not path.startswith("/") or not path.strip("/") or "\0" in path:
        raise ValueError("a Maildir URL must have an absolute path: maildir:///absolute/path")
    return Path(path)
