"""What a process that sends keeps open: ledger, recorder, templates, providers, key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary, WeakSet

from waypost.beside import Beside
from waypost.channels import Channel
from waypost.late import LateAnswers
from waypost.ledger import Ledger, installation, open_ledger, rates
from waypost.ledger.batches import Leases
from waypost.ledger.recorder import Recorder
from waypost.mail.build import Sender
from waypost.provider import PLAIN
from waypost.providers import providers
from waypost.rate import Rate
from waypost.secret import secret_key
from waypost.settings import Settings
from waypost.signing import dkim_signers
from waypost.standing import Standing
from waypost.templating import Templates

if TYPE_CHECKING:
    from waypost.way import Way


class Runtime:
    """Shared by every run in this process; tasks find it with `Runtime.current`.

    A resident worker opens one for its life. Under any other Prefect worker, where each run is a
    process, the first task opens it and the process's end closes it.
    """

    _by_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Runtime]] = WeakKeyDictionary()
    # Several in one loop, each in a context of its own: workers of a simulation.
    _own: ClassVar[ContextVar[Runtime | None]] = ContextVar("runtime", default=None)

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        channels: list[Channel],
        templates: Templates | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.recorder = Recorder(ledger)
        self.late = LateAnswers(self.recorder)
        self.leases = Leases(ledger)
        self.channels = channels
        self.by_itself = False  # opened by whoever needed it first: no worker keeps it up to date
        self._as_set = settings
        self._of_settings = channels
        self._beside = Beside(settings, {channel.name for channel in channels})
        self._standings: dict[str, Standing] = {}
        self.ways: WeakSet[Way] = WeakSet()  # of the runs that are under way
        self.templates = templates or Templates(settings.templates, settings.default_locale)
        self.sender = Sender.parse(settings.sender)
        self.signers = dkim_signers(settings)
        self.secret_key = secret_key(settings)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings | None = None, channels: list[Channel] | None = None
    ) -> AsyncGenerator[Runtime]:
        """A runtime for this event loop. Raises ValueError for a wrong setting, LedgerBehind for
        a schema that is not this version's, OtherKey for a secret key that is not the ledger's."""
        settings = settings or Settings()
        ledger = open_ledger(settings.ledger_url, settings.lease)
        runtime = cls(settings, ledger, providers(settings) if channels is None else channels)
        loop = asyncio.get_running_loop()
        try:
            await runtime.check()
            cls._by_loop[loop] = runtime
            yield runtime
        finally:
            cls._by_loop.pop(loop, None)
            await runtime.close()

    async def check(self) -> None:
        """Whether the ledger is of this version and this key. Raises LedgerBehind and OtherKey."""
        await self.ledger.check_schema()
        await installation.check_key(self.ledger, self.secret_key)

    @classmethod
    async def current(cls) -> Runtime:
        """This context's runtime, or this loop's, opened from the environment when nobody has."""
        if own := cls._own.get():
            return own
        loop = asyncio.get_running_loop()
        found = cls._by_loop.get(loop)
        if found is None:
            settings = Settings()
            found = cls(settings, open_ledger(settings.ledger_url, settings.lease), providers(settings))
            try:
                await found.check()
            except BaseException:
                await found.close()
                raise
            found.by_itself = True
            cls._by_loop[loop] = found
        return found

    def offer(self, named: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Have these providers, and no others, beside those of the settings; see Beside.become. What is
        under way goes on with those it began with. Answers what is wrong, by name."""
        faults = self._beside.become(named)
        before = self.settings.providers
        terms = {**self._as_set.providers, **self._beside.terms}
        self.settings = self._as_set.model_copy(update={"providers": terms})
        self.channels = [*self._of_settings, *self._beside.channels]
        for name in [name for name in self._standings if terms.get(name) != before.get(name)]:
            del self._standings[name]
        return faults

    async def let_go(self) -> None:
        """Close the channels of providers that were changed or deleted, once no run goes over them. Never
        raises."""
        ways = list(self.ways)
        unused = self._beside.let_go(lambda channel: not any(way.goes_over(channel) for way in ways))
        await asyncio.gather(*(channel.close() for channel in unused))

    def standing(self, provider: str) -> Standing:
        """How that provider stands with this process."""
        if provider not in self._standings:
            per_second = self.settings.providers.get(provider, PLAIN).rate
            rate = None
            if per_second is not None:
                rate = Rate(per_second, rates.counted(self.ledger, provider, per_second))
            self._standings[provider] = Standing(provider, rate=rate)
        return self._standings[provider]

    @property
    def sends(self) -> bool:
        """Whether a message is on its way to a provider, or its outcome is not written yet."""
        return not all(one.places.idle for one in (*self.channels, *self._beside.left))

    def adopt(self) -> None:
        """Be the runtime of the present task until its end, and of the tasks it starts. A task that adopts a
        runtime must be the runtime's own: a caller that goes on would keep it."""
        self._own.set(self)

    async def close(self) -> None:
        """Write what is queued, then let go of providers and ledger. No late answer is waited for."""
        self.late.close()
        await self.recorder.close()
        await self.leases.close()
        await asyncio.gather(*(channel.close() for channel in (*self.channels, *self._beside.left)))
        await self.ledger.close()
