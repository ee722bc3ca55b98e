"""The parts of Prefect that its documentation does not promise, who leans on them, and how they look today.

A new Prefect that changes one of them fails here, by the name of the part and of the file that uses it.
"""

from __future__ import annotations

import ast
import inspect
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from prefect.workers.base import BaseWorker

from waypost.deployments.processes.prefect_database import OneWriter
from waypost.deployments.resident_worker.quiet_prefect import ENGINES, LEFT_OUT
from waypost.deployments.resident_worker.worker import ResidentWorker

ROOT = Path(__file__).parents[2]
DOCUMENTED = {
    "prefect", "prefect.artifacts", "prefect.blocks.core", "prefect.cache_policies",
    "prefect.client.orchestration", "prefect.client.schemas.actions", "prefect.client.schemas.filters",
    "prefect.client.schemas.objects", "prefect.client.schemas.responses", "prefect.client.schemas.schedules",
    "prefect.events", "prefect.events.clients", "prefect.events.filters", "prefect.exceptions",
    "prefect.flows", "prefect.runtime", "prefect.settings", "prefect.workers.base",
}  # fmt: skip
PUBLIC_STATES = {"Cancelled", "Completed", "Crashed", "Failed", "Pending", "Scheduled"}

WORKER, RUNS, DATABASE = (
    "deployments/resident_worker/worker.py",
    "deployments/dispatcher/prefect_runs.py",
    "deployments/processes/prefect_database.py",
)
EMBEDDED, FAREWELL = "deployments/processes/prefect_server.py", "deployments/processes/flush.py"
RETRIES = "tasks/client_retries.py"
SQLITE = "prefect.server.database.configurations"

# What is imported: by which files, and which parameters the call there gives; None: it is no function.
IMPORTED: dict[tuple[str, str], tuple[set[str], tuple[str, ...] | None]] = {
    ("prefect.flow_engine", "run_flow_async"): ({WORKER}, ("flow", "flow_run", "parameters", "return_type")),
    ("prefect.events.schemas.automations", "AutomationCore"): ({"deployments/automations/create.py"}, None),
    ("prefect.context", "AsyncClientContext"): ({WORKER}, None),
    ("prefect.context", "SyncClientContext"): ({WORKER}, None),
    ("prefect.context", "SettingsContext"): ({RETRIES}, ("profile", "settings")),
    ("prefect.context", "get_settings_context"): ({RETRIES}, ()),
    ("prefect.states", "to_state_create"): ({RUNS}, ("state",)),
    ("prefect.client.schemas.sorting", "FlowRunSort"): ({"deployments/next_digest.py"}, None),
    ("prefect.context", "TaskRunContext"): ({"tasks/task_name.py"}, None),
    ("prefect.client.utilities", "get_or_create_client"): ({"tasks/run_name.py"}, ()),
    ("prefect.events.worker", "EventsWorker"): ({FAREWELL}, None),
    ("prefect.logging.handlers", "APILogHandler"): ({FAREWELL}, None),
    ("prefect.server.api.server", "create_app"): ({EMBEDDED}, ()),
    ("prefect.server.database.dependencies", "temporary_database_config"): (
        {EMBEDDED}, ("tmp_database_config",)
    ),
    (SQLITE, "AioSqliteConfiguration"): ({DATABASE}, ("connection_url",)),
    (SQLITE, "SQLITE_BEGIN_MODE"): ({DATABASE}, None),
}  # fmt: skip

# Methods of documented classes that its documentation leaves out: by which file, with which parameters, and
# whether they are awaited.
METHODS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "prefect.client.orchestration:PrefectClient.request": (RUNS, ("method", "path", "path_params"), True),
    "prefect.client.orchestration:PrefectClient.raise_for_api_version_mismatch_once": (
        "deployments/prefect_api.py", (), True
    ),
    "prefect.client.orchestration:PrefectClient.increment_concurrency_slots": (
        "tasks/providers/rate_limit.py", ("names", "slots", "mode"), True
    ),
    "prefect.context:AsyncClientContext.get_or_create": (WORKER, (), False),
    "prefect.context:SyncClientContext.get_or_create": (WORKER, (), False),
    "prefect.events.worker:EventsWorker.drain_all": (FAREWELL, (), False),
    "prefect.logging.handlers:APILogHandler.aflush": (FAREWELL, (), True),
    "prefect.workers.base:BaseWorker.get_flow_run_logger": (WORKER, ("flow_run",), False),
}  # fmt: skip

OVERRIDDEN = ["setup", "teardown", "sync_with_backend", "get_and_submit_flow_runs", "run"]


@cache
def files() -> dict[str, ast.Module]:
    """Each file of ours, read. Not at the import: each process that collects the tests imports this."""
    return {
        file.relative_to(ROOT).as_posix(): ast.parse(file.read_text())
        for room in ("waypost", "flows", "tasks", "deployments")
        for file in (ROOT / room).rglob("*.py")
    }


def imports() -> set[tuple[str, str, str]]:
    """Each name that is imported of Prefect: its module, the name, the file."""
    return {
        (node.module, alias.name, file)
        for file, tree in files().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "prefect"
        for alias in node.names
        if node.module
    }


def takes(called: Any, given: tuple[str, ...], bound: bool = False) -> bool:
    """Whether it has each of `given`, and asks for none besides."""
    parameters = list(inspect.signature(called).parameters.values())[1 if bound else 0 :]
    names = {one.name for one in parameters}
    wanted = {one.name for one in parameters if one.default is one.empty and one.kind < one.VAR_POSITIONAL}
    return wanted <= set(given) <= names


def test_every_undocumented_import_is_in_the_table():
    found: dict[tuple[str, str], set[str]] = {}
    for module, name, file in imports():
        if module not in DOCUMENTED and not (module == "prefect.states" and name in PUBLIC_STATES):
            found.setdefault((module, name), set()).add(file)
    assert found == {part: files for part, (files, _) in IMPORTED.items()}


@pytest.mark.parametrize(("module", "name"), IMPORTED)
def test_what_is_imported_takes_what_it_is_given(module, name):
    part, given = getattr(import_module(module), name), IMPORTED[module, name][1]
    assert given is None or takes(part, given), f"{sorted(IMPORTED[module, name][0])} calls it with {given}"


@pytest.mark.parametrize("part", METHODS)
def test_a_method_takes_what_it_is_given(part):
    module, _, path = part.partition(":")
    owner, _, name = path.partition(".")
    kept = inspect.getattr_static(getattr(import_module(module), owner), name)
    file, given, awaited = METHODS[part]
    method = kept.__func__ if isinstance(kept, classmethod) else kept
    assert takes(method, given, bound=not isinstance(kept, staticmethod)), f"{file} calls it with {given}"
    assert inspect.iscoroutinefunction(method) == awaited
    assert name in {node.attr for node in ast.walk(files()[file]) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_the_resident_worker_overrides_what_base_worker_has(name):
    mine, theirs = getattr(ResidentWorker, name), getattr(BaseWorker, name)
    assert list(inspect.signature(mine).parameters) == list(inspect.signature(theirs).parameters)
    assert inspect.iscoroutinefunction(mine)
    assert inspect.iscoroutinefunction(theirs)


def test_base_worker_is_set_up_once_its_own_first_heartbeat_is_over():
    """On which it stands that the worker asks Prefect nothing while it starts."""
    setup = inspect.getsource(BaseWorker.setup)
    assert ResidentWorker("a pool").is_setup is False
    assert setup.index("_sync_and_initialize()") < setup.index("self.is_setup = True")
    assert "self.sync_with_backend()" in inspect.getsource(BaseWorker._sync_and_initialize)


def test_a_worker_has_a_client_and_a_pool():
    assert isinstance(inspect.getattr_static(BaseWorker, "client"), property)
    assert isinstance(inspect.getattr_static(BaseWorker, "work_pool"), property)


def test_the_database_is_configured_by_a_transaction_of_our_own():
    mine, theirs = OneWriter.begin_transaction, OneWriter.__mro__[1].begin_transaction
    assert list(inspect.signature(mine).parameters) == list(inspect.signature(theirs).parameters)


def test_the_mode_in_which_a_transaction_begins_is_of_the_context():
    begin_mode = import_module(SQLITE).SQLITE_BEGIN_MODE
    assert isinstance(begin_mode, ContextVar)
    assert "SQLITE_BEGIN_MODE" in inspect.getsource(import_module(SQLITE).AioSqliteConfiguration)


def test_a_step_that_returns_a_scheduled_state_is_run_again_at_its_time():
    """So that a short retry has a sentence for its state."""
    engine = import_module("prefect.task_engine").AsyncTaskRunEngine
    assert "is_scheduled()" in inspect.getsource(engine.is_running)
    assert '"AwaitingRetry"' in inspect.getsource(engine.wait_until_ready)


def test_a_step_is_named_by_its_context_in_the_events_of_its_states():
    """So that a step's name says what it did, without a request."""
    emit = import_module("prefect.utilities.engine").emit_task_run_state_change_event
    assert '"task_run": task_run.model_dump(' in inspect.getsource(emit)
    assert "task_run=self.task_run" in inspect.getsource(
        import_module("prefect.task_engine").AsyncTaskRunEngine.setup_run_context
    )


@pytest.mark.parametrize("module", ENGINES)
def test_the_engines_log_the_end_of_runs_in_these_words(module):
    assert f'"{LEFT_OUT}{{display_state}}' in inspect.getsource(import_module(f"prefect.{module}"))
