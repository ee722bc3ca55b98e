"""The resident worker: runs the pool's flow runs inside its own event loop.

Prefect's own workers start a process per run and poll every 10 s: 9 s to the first line of
code. Here templates stay compiled and connections open, and a run starts within a fraction of a
second. It uses only `BaseWorker`'s public API, and fewer API calls per run than `BaseWorker` does.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import anyio.abc
import httpx
from prefect import Flow
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.context import AsyncClientContext, SyncClientContext
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow_async
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import (
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from prefect.states import Cancelled, Crashed, Pending
from prefect.workers.base import (
    BaseJobConfiguration,
    BaseVariables,
    BaseWorker,
    BaseWorkerResult,
)

from deployments.paused_lanes import Notices, stopped
from deployments.stopping import COURTESY_SECONDS, in_hand, see_off
from tasks.faults import CodeFailed, guarded_flow
from tasks.run_context import give_back_all
from waypost.delivery.runtime import Runtime
from waypost.ledger.database.trouble import trouble
from waypost.ledger.queue import batches
from waypost.model.batch import emptied_after_the_run
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.policy.lanes import free_slots
from waypost.system.clock import now
from waypost.system.outage import is_outage

SLOTS = 10  # runs at once, by default
PATIENCE = 2  # retries of a run's own API call: after 2 s, then 4 s
CANCELLATION_SECONDS = 1.0  # how often Prefect is asked for cancellations, of runs that last longer than this
LEDGER_AWAY_SECONDS = 2.0  # how long a run with its own requests keeps its slot before it is tried again


class LedgerAway(RuntimeError):
    """The ledger does not answer. Names the error."""


@dataclass(frozen=True, slots=True)
class InHand:
    """A run in progress here, with its lane and its start (steady seconds)."""

    task: asyncio.Task[None]
    lane: Priority
    since: float


class ResidentResult(BaseWorkerResult):
    """How a run ended; `status_code` is 0 whenever its state is on the server."""


class ResidentWorker(BaseWorker[BaseJobConfiguration, BaseVariables, ResidentResult]):
    """A Prefect worker of type `resident`."""

    type = "resident"
    job_configuration = BaseJobConfiguration
    job_configuration_variables = BaseVariables
    _description = "Runs notification flows inside one long-lived process."

    def __init__(
        self,
        work_pool_name: str,
        name: str | None = None,
        limit: int | None = None,
        on_end: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> None:
        """limit: the most runs at once. on_end: called whenever a run is over and its slot free."""
        super().__init__(work_pool_name, name=name, **options)
        self._pool = work_pool_name
        self.slots = limit or SLOTS
        self.woken = asyncio.Event()
        self._on_end = on_end
        self._runs: dict[UUID, InHand] = {}
        self._flows: dict[UUID, Flow[..., Any]] = {}
        self._free_queues: set[str] = set()
        self.notices = Notices()
        self._ledger_away = False
        self._asked = 0.0
        self._cancelling: dict[UUID, asyncio.Task[None]] = {}
        self._stopping = False
        self._shared = AsyncExitStack()

    async def setup(self) -> None:
        """Set up without calling Prefect, which may be away. The first heartbeat adds the worker to the pool.

        Runs share the API clients: each client of its own would delay a run by 30 ms.
        """
        await super().setup()
        with temporary_settings({PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False}):
            await self._shared.enter_async_context(AsyncClientContext.get_or_create())
            self._shared.enter_context(SyncClientContext.get_or_create())

    def lanes(self) -> dict[UUID, Priority]:
        """The flow runs in progress, by id, with the lane of each."""
        return {id: run.lane for id, run in self._runs.items()}

    @property
    def full(self) -> bool:
        """Whether all slots are taken."""
        return len(self._runs) >= self.slots

    def may_take(self, lane: Priority) -> bool:
        """Whether a run created by this process can begin at once: a slot is free, and the last heartbeat
        found neither the pool nor the lane's queue paused or limited."""
        if (
            self._stopping
            or lane not in self._free_queues
            or free_slots(lane, Counter(self.lanes().values()), self.slots) <= 0
        ):
            return False
        return not self.work_pool.is_paused and self.work_pool.concurrency_limit is None

    def take(self, run: FlowRun, lane: Priority) -> None:
        """Begin a run that was created Pending for this worker."""
        if run.id not in self._runs:
            self._start(run, lane, ours=True)

    async def sync_with_backend(self) -> None:
        """Send BaseWorker's heartbeat, and read which queues are free. A request is not retried: the next
        heartbeat comes soon, and a minute of retries would delay the process's end."""
        if not self.is_setup:
            return  # BaseWorker.setup calls this too, when Prefect may be away
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            await super().sync_with_backend()
            queues = await self.client.read_work_queues(work_pool_name=self._pool)
        self.notices.tell(stopped(self.work_pool, queues))
        self._free_queues = {
            queue.name for queue in queues if not queue.is_paused and queue.concurrency_limit is None
        }

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Start scheduled runs, the most urgent first, while slots are free; cancel the runs cancelled in
        Prefect. Raises httpx errors when the API does not answer, without retries."""
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            await self._cancel_what_was_cancelled()
            if self.full:
                return []
            try:
                scheduled = await self.client.get_scheduled_flow_runs_for_work_pool(
                    work_pool_name=self._pool, scheduled_before=now()
                )
            except ObjectNotFound:
                return []  # the next heartbeat creates the pool
        fresh = [one.flow_run for one in scheduled if one.flow_run.id not in self._runs]
        started: list[FlowRun] = []
        for flow_run in sorted(fresh, key=lambda one: lane_of(one).rank):
            lane = lane_of(flow_run)
            if free_slots(lane, Counter(self.lanes().values()), self.slots):
                self._start(flow_run, lane)
                started.append(flow_run)
        return started

    def _start(self, flow_run: FlowRun, lane: Priority, *, ours: bool = False) -> None:
        task = asyncio.create_task(self._begin(flow_run, ours))
        self._runs[flow_run.id] = InHand(task, lane, time.monotonic())
        task.add_done_callback(lambda _: self._ended(flow_run.id))

    def _ended(self, id: UUID) -> None:
        if self.full:
            self.woken.set()  # other runs may be waiting for the slot
        self._runs.pop(id, None)
        self._on_end()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration | None = None,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ResidentResult:
        """Run a flow run in this event loop. Its final state is on the server."""
        if task_status is not None:
            task_status.started(0)
        await self._run_to_its_end(flow_run, await self._flow(flow_run))
        return ResidentResult(identifier=str(flow_run.id), status_code=0)

    async def _run_to_its_end(self, flow_run: FlowRun, found: Flow[..., Any]) -> Any:
        """Run the flow; returns its final state."""
        # For a run with a deployment, Prefect's engine watches for suspension in a thread, and blocks our
        # event loop until that thread has its four responses, however slow Prefect is. We suspend no run.
        run = flow_run.model_copy(update={"deployment_id": None})
        return await run_flow_async(found, flow_run=run, parameters=flow_run.parameters, return_type="state")

    async def teardown(self, *exc_info: Any) -> None:
        """Let runs in flight finish for a while; then the rest are cancelled and shown as Crashed.
        Their notifications are free at once and go out with another run."""
        self._stopping = True
        if self._runs:
            runtime = await Runtime.current()
            await see_off([run.task for run in self._runs.values()], lambda: runtime.sends)
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            if self._free_queues:
                await self._say_farewell()
            await self._shared.aclose()
            with suppress(TimeoutError):
                async with asyncio.timeout(COURTESY_SECONDS):
                    await super().teardown(*exc_info)

    async def _say_farewell(self) -> None:
        # A courtesy: `waypost doctor` should not count a worker that has stopped.
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(COURTESY_SECONDS):
                await self.client.request(
                    "DELETE",
                    "/work_pools/{work_pool_name}/workers/{name}",
                    path_params={"work_pool_name": self._pool, "name": self.name},
                )

    async def _begin(self, flow_run: FlowRun, ours: bool) -> None:
        """Make the run ours, if it is not, then run it. Prefect accepts Pending from one worker only."""
        logger = self.get_flow_run_logger(flow_run)
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: PATIENCE}):
                announced = await self._announce(flow_run)
                self._ledger_away = False
                if ours or await self._won(flow_run):
                    await self._hold_and_run(flow_run, announced)
        except asyncio.CancelledError:
            raise
        except LedgerAway as error:
            # The run stays scheduled, and a later poll finds it again.
            if not self._ledger_away:
                self._ledger_away = True
                logger.warning("The run waits for the ledger: %s", error)
            await asyncio.sleep(LEDGER_AWAY_SECONDS)
        except (httpx.HTTPError, ObjectNotFound) as error:
            # The ledger has what was done, and the reconciler tells Prefect once it answers.
            logging.getLogger("waypost.worker").warning(
                "Prefect did not answer in the middle of run %s (%s)", flow_run.id, type(error).__name__
            )
        except Exception as error:
            # The flow could not be loaded: say so in the run's log and state.
            logger.exception("This run could not be started")
            message = f"The worker could not start it: {type(error).__name__}"
            with suppress(Exception):
                await self.client.set_flow_run_state(flow_run.id, Crashed(message=message), force=True)

    async def _won(self, flow_run: FlowRun) -> bool:
        answer = await self.client.set_flow_run_state(flow_run.id, Pending())
        return answer.status is SetStateStatus.ACCEPT

    async def _announce(self, flow_run: FlowRun) -> UUID | None:
        """Open a batch for a run that brings its own requests, before the run is ours. If this process dies
        before the requests are accepted, the worker that finds the batch restarts the run. A worker that
        does not get the run leaves the batch, which may be the winner's too. Raises LedgerAway."""
        if flow_run.parameters.get("batch") is not None:
            return None
        try:
            type = declared(await self._flow(flow_run))
        except Exception:
            return None  # the error is logged once the run is ours
        if type is None:
            return None
        try:
            return await batches.open_for_run((await Runtime.current()).ledger, type, flow_run.id)
        except Exception as error:
            if is_outage(error):
                raise LedgerAway(trouble(error)) from None
            raise

    async def _hold_and_run(self, flow_run: FlowRun, announced: UUID | None) -> None:
        """Run the flow, then release its batches and their contents, however it ends. If this process's
        stop cut the run short, its batches go to another run."""
        runtime = await Runtime.current()
        async with in_hand(runtime, lambda: self._stopping) as held:
            with emptied_after_the_run():
                if announced is not None:
                    runtime.leases.hold_for_run(announced)
                found = await self._flow(flow_run)
                ended = await self._run_to_its_end(flow_run, found)
                failed = await ended.result(raise_on_failure=False) if ended.is_failed() else None
                if isinstance(failed, CodeFailed) and (type := declared(found)) is not None:
                    await give_back_all(held, type, failed)

    async def _flow(self, flow_run: FlowRun) -> Flow[..., Any]:
        """The flow of the run's deployment, loaded once."""
        id = flow_run.deployment_id
        if id is None:
            raise LookupError("a run without a deployment does not say which flow it is")
        if id not in self._flows:
            deployment = await self.client.read_deployment(id)
            found = _loaded(deployment.entrypoint or "")
            self._flows[id] = guarded_flow(
                found if found.persist_result is not None else _keeping_no_result(found)
            )
        return self._flows[id]

    async def _cancel_what_was_cancelled(self) -> None:
        """A resident run has no process to kill: its task is cancelled here, between messages."""
        moment = time.monotonic()
        if moment - self._asked < CANCELLATION_SECONDS:
            return
        lasting = [id for id, run in self._runs.items() if moment - run.since > CANCELLATION_SECONDS]
        if not lasting:
            return
        self._asked = moment
        cancelling = await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                id=FlowRunFilterId(any_=lasting),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])),
            )
        )
        for flow_run in cancelling:
            if flow_run.id not in self._cancelling:
                self._cancelling[flow_run.id] = asyncio.create_task(self._cancel(flow_run.id))

    async def _cancel(self, id: UUID) -> None:
        """Cancel the run's task, wait for the message on the wire, and only then set Cancelled."""
        run = self._runs.get(id)
        if run is not None:
            run.task.cancel()
            await asyncio.wait([run.task])
        state = Cancelled(message="Cancelled; what was not sent yet stays in the ledger and goes out again.")
        with suppress(Exception):  # the next look finds it still Cancelling and tries again
            await self.client.set_flow_run_state(id, state, force=True)
        self._cancelling.pop(id, None)


def _loaded(entrypoint: str) -> Flow[..., Any]:
    """Load the flow. Raises RuntimeError for a file that calls sys.exit when it is loaded."""
    try:
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except SystemExit:
        raise RuntimeError(f"{entrypoint} calls sys.exit when it is loaded") from None


def _keeping_no_result(flow: Flow[..., Any]) -> Flow[..., Any]:
    """`flow`, with results off and their storage set. Otherwise Prefect's engine asks the server before each
    run, and blocks our event loop until it answers."""
    return flow.with_options(persist_result=False, result_storage=PREFECT_LOCAL_STORAGE_PATH.value())


def lane_of(flow_run: FlowRun) -> Priority:
    """The lane of a run, which is the name of its work queue; any other queue is a normal one."""
    name = flow_run.work_queue_name
    return Priority(name) if name in set(Priority) else Priority.NORMAL


def declared(found: Flow[..., Any]) -> NotificationType | None:
    """The type that the file of a flow declares."""
    type = getattr(sys.modules.get(found.fn.__module__), "TYPE", None)
    return type if isinstance(type, NotificationType) else None
