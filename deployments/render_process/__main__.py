"""The process that renders for a worker: `python -m waypost.deployments.render_process FD`.

It ends when the worker does.
"""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any, BinaryIO

from waypost.config.mail import dkim_signers, signers_of
from waypost.delivery.batch_rendering import render_job
from waypost.delivery.renderer import renderer
from waypost.deployments.outdated_worker import NewerFiles
from waypost.deployments.registry import registered
from waypost.deployments.render_process.frames import (
    LENGTH,
    Ask,
    Made,
    Reply,
    Start,
    Started,
    packed,
    unpacked,
)
from waypost.rendering.catalogues import BrokenCatalogue
from waypost.rendering.live_templates import Templates
from waypost.rendering.messages import Renderer
from waypost.rendering.template_files import TemplateError
from waypost.system.child_process import stop_with_parent
from waypost.system.process import freeze_gc

MEGABYTE = 1 << 20
GROWTH = 256 * MEGABYTE  # beyond it, the process retires
MOST_GROWTH = 1024 * MEGABYTE  # beyond it, Python raises MemoryError for the notification


def main(descriptor: int) -> None:
    """Render what is asked for, until the worker closes the connection."""
    stop_with_parent()
    with socket.socket(fileno=descriptor) as link, link.makefile("rb") as asked:
        frames = _frames(asked)
        start: Start = next(frames)
        types = {name: one.type for name, one in registered().items()}
        newer = NewerFiles(start.settings.project, start.since).names()
        desk = _Desk(start, types)
        if not newer:
            desk.load(start.type)
        link.sendall(packed(Started(newer)))
        if newer:
            return
        freeze_gc()
        limit = _limit_memory()
        for ask in frames:
            link.sendall(packed(desk.reply(ask, retires=_resident() > limit)))


class _Desk:
    def __init__(self, start: Start, types: dict[str, Any]) -> None:
        self._settings, self._types = start.settings, types
        self._templates = Templates(start.settings.template_folders, start.settings.default_locale)
        self._signers = dkim_signers(start.settings)
        self._loaded: set[str] = set()

    def load(self, type: str) -> bool:
        """Load the templates of a type in each language, once. Whether all could be loaded."""
        if type not in self._loaded and type in self._types:
            with suppress(TemplateError, BrokenCatalogue):
                self._load(type)
                self._loaded.add(type)
        return type in self._loaded

    def _load(self, type: str) -> None:
        """Raises TemplateError and BrokenCatalogue."""
        if self._types[type].finished is not None:
            return
        self._templates.declare(self._types[type])
        if broken := self._templates.broken_catalogues():
            raise BrokenCatalogue(broken[0])
        for lang in self._templates.languages(type):
            self._templates.find(type, lang)  # raises for the first, and tells `faults` of the others
        if fault := self._templates.faults.get(type):
            raise TemplateError(fault)

    def reply(self, ask: Ask | None, *, retires: bool) -> Reply:
        """The messages of each job."""
        type = self._types.get(ask.type) if ask else None
        if ask is None or type is None or not self.load(ask.type):
            return Reply(None, retires=retires)

        @cache
        def renderers(name: str) -> Renderer:
            look = ask.looks[name]
            signers = signers_of(look.brand, self._signers)
            return renderer(self._settings, self._templates, look.brand, look.served, signers)

        made = [Made.of(render_job(renderers, type, job)) for job in ask.jobs]
        return Reply(made, self._templates.faults.get(ask.type), retires)


def _frames(asked: BinaryIO) -> Iterator[Any]:
    """The frames that the worker sends; None for a frame that cannot be read here."""
    while head := asked.read(LENGTH.size):
        content = asked.read(*LENGTH.unpack(head))
        try:
            yield unpacked(content)
        except Exception:
            yield None


def _limit_memory() -> int:
    """Limit what the process may take. Returns the resident bytes beyond which it retires."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    data = _status("VmData")
    if data:
        resource.setrlimit(resource.RLIMIT_DATA, (data + MOST_GROWTH, hard))
    return _resident() + GROWTH


def _resident() -> int:
    return _status("VmRSS")


def _status(name: str) -> int:
    """A value of /proc/self/status in bytes; 0 on a system without it."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return 0
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(int(sys.argv[1]))
