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
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from contextvars import Context, copy_context
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
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.flow_engine import run_flow_async
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import (
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

from waypost.delivery.runtime import Runtime
from waypost.deployments import registry
from waypost.deployments.paused_lanes import Notices, stopped
from waypost.deployments.resident_worker.quiet_prefect import quiet_prefect
from waypost.deployments.resident_worker.run_slots import RunSlots
from waypost.deployments.resident_worker.run_steps import LEDGER_AWAY_SECONDS, LedgerAway, take_and_run
from waypost.deployments.stopping import COURTESY_SECONDS, HURRY_SECONDS, STOPPED, see_off
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.system.clock import now
from waypost.tasks.cancellation import Cancellation
from waypost.tasks.cancelled_run import cancellable_flow, late_end, stop_unsent
from waypost.tasks.client_retries import client_retries
from waypost.tasks.faults import guarded_flow
from waypost.tasks.run_state import NotificationsFailed

SLOTS = 10  # runs at once, by default
PATIENCE = 2  # retries of a run's own API call: after 2 s, then 4 s
CANCELLED_WITHIN = 5.0  # seconds for a cancelled run's code to end by itself
CANCELLATION_SECONDS = 1.0  # how often Prefect is asked for cancellations, of runs that last longer than this


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
        self.slots: RunSlots[FlowRun] = RunSlots(limit or SLOTS, self._begin, on_end)
        self._flows: dict[UUID, Flow[..., Any]] = {}
        self._free_queues: set[str] = set()
        self.notices = Notices()
        self._ledger_away = False
        self._asked = 0.0
        self._cancelling: dict[UUID, asyncio.Task[None]] = {}
        self._cancellations: dict[UUID, Cancellation] = {}
        self._stopping = False
        self._shared = AsyncExitStack()
        self._with_clients = Context()

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        """No variables: nothing is started for a run, so a job of Prefect has nothing to set."""
        # Prefect refuses an empty configuration.
        return {"job_configuration": {"env": {}}, "variables": {"type": "object", "properties": {}}}

    async def setup(self) -> None:
        """Set up without calling Prefect, which may be away. The first heartbeat adds the worker to the pool.

        Runs share the API clients: each client of its own would delay a run by 30 ms.
        """
        quiet_prefect()
        await super().setup()
        with temporary_settings({PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False}):
            await self._shared.enter_async_context(AsyncClientContext.get_or_create())
            self._shared.enter_context(SyncClientContext.get_or_create())
        self._with_clients = copy_context()

    def may_take(self, lane: Priority) -> bool:
        """Whether a run created by this process can begin at once: a slot is free, and the last heartbeat
        found neither the pool nor the lane's queue paused or limited."""
        if self._stopping or lane not in self._free_queues or not self.slots.has_room(lane):
            return False
        return not self.work_pool.is_paused and self.work_pool.concurrency_limit is None

    def take(self, run: FlowRun, lane: Priority) -> None:
        """Begin a run that was created Pending for this worker, with the shared API clients: the caller's
        context may be older than they are."""
        self._with_clients.copy().run(self.slots.start, run, lane, ours=True)

    async def sync_with_backend(self) -> None:
        """Send BaseWorker's heartbeat, and read which queues are free. A request is not retried: the next
        heartbeat comes soon, and a minute of retries would delay the process's end."""
        if not self.is_setup:
            return  # BaseWorker.setup calls this too, when Prefect may be away
        with client_retries(0):
            await super().sync_with_backend()
            queues = await self.client.read_work_queues(work_pool_name=self._pool)
        self.notices.tell(stopped(self.work_pool, queues))
        self._free_queues = {
            queue.name for queue in queues if not queue.is_paused and queue.concurrency_limit is None
        }

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Start scheduled runs, the most urgent first, while slots are free; cancel the runs cancelled in
        Prefect. Raises httpx errors when the API does not answer, without retries."""
        with client_retries(0):
            await self._cancel_what_was_cancelled()
            if self.slots.full:
                return []
            try:
                scheduled = await self.client.get_scheduled_flow_runs_for_work_pool(
                    work_pool_name=self._pool, scheduled_before=now()
                )
            except ObjectNotFound:
                return []  # the next heartbeat creates the pool
        return self.slots.start_scheduled((one.flow_run, lane_of(one.flow_run)) for one in scheduled)

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
        cancellation = self._cancellations.get(flow_run.id, Cancellation(flow_run.id))
        with cancellation.of_run():
            return await run_flow_async(
                found, flow_run=run, parameters=flow_run.parameters, return_type="state"
            )

    async def teardown(self, *exc_info: Any) -> None:
        """Let runs in flight finish for a while; then the rest are cancelled and shown as Crashed.
        Their notifications are free at once and go out with another run."""
        self._stopping = True
        if tasks := [run.task for run in self.slots.runs.values()]:
            runtime = await Runtime.current()
            await see_off(tasks, lambda: not runtime.providers.idle)
        with client_retries(0):
            if self._free_queues:
                await self._say_farewell()
            await self._shared.aclose()
            with suppress(TimeoutError):
                async with asyncio.timeout(COURTESY_SECONDS):
                    await super().teardown(*exc_info)

    async def _show_stopped(self, id: UUID) -> None:
        """Say in our words that the stop cut the run short."""
        with suppress(httpx.HTTPError, PrefectException, TimeoutError), client_retries(0):
            async with asyncio.timeout(HURRY_SECONDS):
                run = await self.client.read_flow_run(id)
                if run.state is None or run.state.is_crashed() or not run.state.is_final():
                    await self.client.set_flow_run_state(id, Crashed(message=STOPPED), force=True)

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
        self._cancellations[flow_run.id] = Cancellation(flow_run.id, _batch_of(flow_run))
        try:
            with client_retries(PATIENCE):
                await take_and_run(self, flow_run, ours=ours, stopping=lambda: self._stopping)
        except asyncio.CancelledError:
            if self._stopping:
                await self._show_stopped(flow_run.id)
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
                "Prefect did not respond during run %s (%s)", flow_run.id, type(error).__name__
            )
        except Exception as error:
            # The flow could not be loaded: say so in the run's log and state.
            logger.exception("This run could not be started")
            message = f"The worker could not start this run: {type(error).__name__}"
            with suppress(Exception):
                await self.client.set_flow_run_state(flow_run.id, Crashed(message=message), force=True)
        finally:
            del self._cancellations[flow_run.id]

    def has_batch(self, run: FlowRun) -> bool:
        """See RunCalls."""
        return run.parameters.get("batch") is not None

    async def type_of(self, run: FlowRun) -> NotificationType | None:
        """See RunCalls. Raises the error of a flow that cannot be loaded."""
        return declared(await self._flow(run))

    async def claim(self, run: FlowRun) -> bool:
        """See RunCalls."""
        answer = await self.client.set_flow_run_state(run.id, Pending())
        return answer.status is SetStateStatus.ACCEPT

    async def run_flow(self, run: FlowRun) -> BaseException | None:
        """See RunCalls."""
        self._ledger_away = False
        ended = await self._run_to_its_end(run, await self._flow(run))
        if ended.is_cancelling():
            await self._end_cancelling(run.id, self._cancellations[run.id])
        failure = await ended.result(raise_on_failure=False) if ended.is_failed() else None
        return None if isinstance(failure, NotificationsFailed) else failure

    async def _flow(self, flow_run: FlowRun) -> Flow[..., Any]:
        """The flow of the run's deployment, loaded once."""
        id = flow_run.deployment_id
        if id is None:
            raise LookupError("the run has no deployment, so its flow is unknown")
        if id not in self._flows:
            deployment = await self.client.read_deployment(id)
            found = _loaded(deployment.entrypoint or "")
            kept = found if found.persist_result is not None else _keeping_no_result(found)
            self._flows[id] = cancellable_flow(guarded_flow(kept))
        return self._flows[id]

    async def _cancel_what_was_cancelled(self) -> None:
        """A resident run has no process to kill: its task is cancelled here, between messages."""
        moment = time.monotonic()
        if moment - self._asked < CANCELLATION_SECONDS:
            return
        lasting = {
            id: run for id, run in self.slots.runs.items() if moment - run.since > CANCELLATION_SECONDS
        }
        known = {id: one for id, one in self._cancellations.items() if id in lasting}
        if not known:
            return
        self._asked = moment
        found = await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                id=FlowRunFilterId(any_=list(known)),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])),
            )
        )
        for flow_run in found:
            if (id := flow_run.id) not in self._cancelling:
                cancelling = self._cancel(id, lasting[id].task, known[id])
                self._cancelling[id] = asyncio.create_task(cancelling)

    async def _cancel(self, id: UUID, run: asyncio.Task[None], cancellation: Cancellation) -> None:
        """End the run's code between two messages. The code then holds what was not sent, and sets Cancelled.
        Code that does not end in time, for example in a request to Prefect, is cancelled where it is."""
        cancellation.ask()
        await asyncio.wait([run], timeout=CANCELLED_WITHIN)
        if not cancellation.accounted:
            run.cancel()
        await asyncio.wait([run])
        with suppress(Exception):  # the next look finds it still Cancelling and tries again
            await self._set_cancelled(id, cancellation)
        self._cancelling.pop(id, None)

    async def _set_cancelled(self, id: UUID, cancellation: Cancellation) -> None:
        """Show the run as Cancelled, unless its own code ended it. Holds what is unsent before."""
        run = await self.client.read_flow_run(id)
        if run.state is None or not run.state.is_final() or run.state.is_crashed():
            await self._end_cancelling(id, cancellation)

    async def _end_cancelling(self, id: UUID, cancellation: Cancellation) -> None:
        """Set the final state of a run in Cancelling, from which Prefect takes no state but by force: the one
        that its code returned, or else Cancelled."""
        state = late_end(cancellation) or Cancelled(message=await stop_unsent(cancellation))
        await self.client.set_flow_run_state(id, state, force=True)


def _loaded(entrypoint: str) -> Flow[..., Any]:
    """Load the flow. Raises RuntimeError for a file that calls sys.exit when it is loaded."""
    try:
        found = registry.present(entrypoint)
        return load_flow_from_entrypoint(found, use_placeholder_flow=False)
    except SystemExit:
        raise RuntimeError(f"{entrypoint} calls sys.exit when it is loaded") from None


def _keeping_no_result(flow: Flow[..., Any]) -> Flow[..., Any]:
    """`flow`, with results off and their storage set. Otherwise Prefect's engine asks the server before each
    run, and blocks our event loop until it answers."""
    return flow.with_options(persist_result=False, result_storage=PREFECT_LOCAL_STORAGE_PATH.value())


def _batch_of(flow_run: FlowRun) -> UUID | None:
    """The batch that the run was created for, if its parameter is one."""
    try:
        return UUID(str(flow_run.parameters.get("batch")))
    except ValueError:
        return None


def lane_of(flow_run: FlowRun) -> Priority:
    """The lane of a run, which is the name of its work queue; any other queue is a normal one."""
    name = flow_run.work_queue_name
    return Priority(name) if name in set(Priority) else Priority.NORMAL


def declared(found: Flow[..., Any]) -> NotificationType | None:
    """The type that the file of a flow declares."""
    type = getattr(sys.modules.get(found.fn.__module__), "TYPE", None)
    return type if isinstance(type, NotificationType) else None
