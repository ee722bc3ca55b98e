"""The objects that a sending process keeps open: ledger, recorder, templates, providers, secret key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from waypost.channels.channel import Channel
from waypost.config.mail import dkim_signers, signers_of
from waypost.config.secret_key import secret_key
from waypost.config.settings import Settings
from waypost.delivery.added_brands import AddedBrands
from waypost.delivery.batch_rendering import BatchRendering, RenderingHere
from waypost.delivery.channel_factory import providers
from waypost.delivery.late_answers import LateAnswers
from waypost.delivery.provider_set import ProviderSet
from waypost.delivery.renderer import renderer
from waypost.ledger import Ledger, ledger_of
from waypost.ledger.queue.leases import Leases
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.records import installation, kept_brands, verification_codes
from waypost.model.brand import DEFAULT, Brand, NoSuchBrand
from waypost.model.notification_type import NotificationType
from waypost.policy.route_steps import steps
from waypost.rendering.live_templates import Templates
from waypost.rendering.messages import Renderer


class Runtime:
    """Shared by every run in this process; tasks find it with `Runtime.current`.

    A resident worker opens one and keeps it until it stops. Under any other Prefect worker, each run is a
    process: its first task opens the runtime, and the end of the process closes it.
    """

    _by_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Runtime]] = WeakKeyDictionary()
    # Simulated workers: several runtimes in one event loop, each in its own context.
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
        self.providers = ProviderSet(settings, channels, ledger)
        self.by_itself = False  # opened by the first call of `current`: no worker keeps it up to date
        self.templates = templates or Templates(settings.template_folders, settings.default_locale)
        self.rendering: BatchRendering = RenderingHere(self.renderer)
        self.added_brands = AddedBrands(settings)
        self.signers = dkim_signers(settings)
        self.secret_key = secret_key(settings)
        self.types: Collection[NotificationType] = ()  # all that there are, in a worker that knows them

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings | None = None, channels: list[Channel] | None = None
    ) -> AsyncGenerator[Runtime]:
        """A runtime for this event loop. Raises ValueError for a wrong setting, LedgerBehind for
        a schema that is not this version's, OtherKey for a secret key that is not the ledger's."""
        settings = settings or Settings()
        runtime = await cls._made(settings, providers(settings) if channels is None else channels)
        loop = asyncio.get_running_loop()
        try:
            await installation.check_key(runtime.ledger, runtime.secret_key)
            cls._by_loop[loop] = runtime
            yield runtime
        finally:
            cls._by_loop.pop(loop, None)
            await runtime.close()

    @classmethod
    async def current(cls) -> Runtime:
        """The runtime of this context, or of this event loop; opens one from the environment if needed."""
        if own := cls._own.get():
            return own
        loop = asyncio.get_running_loop()
        found = cls._by_loop.get(loop)
        if found is None:
            settings = Settings()
            found = await cls._made(settings, providers(settings))
            try:
                await installation.check_key(found.ledger, found.secret_key)
            except BaseException:
                await found.close()
                raise
            found.by_itself = True
            cls._by_loop[loop] = found
        return found

    @classmethod
    async def _made(cls, settings: Settings, channels: list[Channel]) -> Runtime:
        """A runtime over a ledger of this version. The schema is checked before a secret key is created,
        because the key is later taken as proof of a ledger. Raises LedgerBehind, LedgerMissing."""
        ledger = ledger_of(settings)
        try:
            await ledger.check_schema()
            made = cls(settings, ledger, channels)
            made.added_brands.replace_with(await kept_brands.read(ledger))
            return made
        except BaseException:
            await ledger.close()
            raise

    @property
    def brands(self) -> Mapping[str, Brand]:
        """Every brand by its name: those of the settings, then those kept as blocks in Prefect."""
        return self.added_brands.all

    def renderer(self, type: NotificationType, brand: str = DEFAULT) -> Renderer:
        """A renderer for messages of `type` and `brand`, with the present settings and providers. Raises
        NoSuchBrand."""
        if (whose := self.brands.get(brand)) is None:
            raise NoSuchBrand(
                f"this worker knows no brand {brand}: add it to WAYPOST_BRANDS and restart the worker, or "
                "add it as a block"
            )
        self.templates.declare(type)
        served = {kind for kind, _ in steps(type.route, self.providers.channels, whose.providers)}
        return renderer(self.settings, self.templates, whose, served, signers_of(whose, self.signers))

    async def keep_codes(self, rows: Sequence[dict[str, Any]]) -> None:
        """Store the hashes of codes, before any message carries the codes. Raises OtherKey."""
        await verification_codes.remember(self.ledger, self.secret_key, rows)

    def adopt(self) -> None:
        """Make this the runtime of the present task until its end, and of the tasks it starts. Call it only
        in a task that is the runtime's own: any other task would keep the runtime afterwards."""
        self._own.set(self)

    async def close(self) -> None:
        """Write the queued records, then close providers and ledger. Does not wait for late answers."""
        self.late.close()
        await self.recorder.close()
        await self.leases.close()
        await self.providers.close()
        await self.ledger.close()
