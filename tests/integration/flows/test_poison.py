"""A step that fails over one notification: its run gives the batch back, and its neighbours go out."""

import asyncio
from contextlib import suppress
from uuid import UUID

import httpx
import pytest
from prefect import State, flow, task
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import ParameterTypeError, PrefectException
from prefect.flow_engine import run_flow_async
from prefect.settings import get_current_settings
from support.ledger import LONG_AGO, Note, NoteRequest, change, rows
from support.note_flow import TYPE, note
from support.task_runs import ended_task_run

from waypost import Recipient, Report, Request
from waypost.deployments.doctor.ledger import ledger_findings
from waypost.deployments.processes.flush import flush_prefect
from waypost.ledger import NotRecorded
from waypost.ledger.database.ledger import leaving
from waypost.ledger.database.tables import batches
from waypost.ledger.intake import accept
from waypost.ledger.operations.timeline import explain
from waypost.ledger.queue import claims
from waypost.model.priority import Priority
from waypost.tasks import deliver, fallback, lookup, render, report
from waypost.tasks.faults import guarded_flow
from waypost.tasks.run_context import step, without_prefect

pytestmark = pytest.mark.anyio


class Weighing:
    """A step of the type's own, which fails over what is too heavy."""

    error = RecursionError("too deep: ada@a.example")


@task(name="weigh")
async def _weigh(notifications):
    if any(one.data["text"] == "heavy" for one in notifications):
        raise Weighing.error
    return notifications


@flow(name="note")
async def weighed(batch: UUID) -> State[Report]:
    notifications = await step(_weigh, await lookup(TYPE, batch=batch))
    outcomes = await fallback(await deliver(await render(notifications)))
    return await report(outcomes)


@pytest.fixture
async def asked(bench):
    """Eight that are light, and a heavy one among them."""
    texts = ["light"] * 4 + ["heavy"] + ["light"] * 4
    requests = [
        NoteRequest(recipient=Recipient(id=f"r{n}", email=f"r{n}@a.example"), data=Note(text=text))
        for n, text in enumerate(texts)
    ]
    return await accept.accept(bench.runtime.ledger, TYPE, requests)


async def run_once(ledger, alone=False):
    """A run of what is due, as a worker has it; the error it ends with."""
    claim = await claims.reserve(ledger, "note", Priority.NORMAL)
    try:
        if alone:
            with without_prefect():
                await weighed.fn(batch=claim.id)
        else:
            await weighed(batch=claim.id)
    except Exception as error:
        return error


async def ended(ledger):
    return sorted(row.state for row in await rows(ledger) if row.state in ("sent", "failed"))


@pytest.mark.parametrize("alone", [False, True], ids=["with Prefect", "without Prefect"])
async def test_the_one_it_fails_over_fails_alone_and_the_others_are_sent(bench, asked, alone):
    ledger, errors = bench.runtime.ledger, []
    while len(await ended(ledger)) < len(asked):
        await change(ledger, due_at=LONG_AGO)
        errors.append(await run_once(ledger, alone))
        assert len(errors) < 20
    assert await ended(ledger) == ["failed"] + ["sent"] * 8
    assert len(bench.primary.sent) == 8
    [failed] = [row for row in await rows(ledger) if row.state == "failed"]
    assert "3 runs failed (RecursionError)" in failed.reason
    assert {error.kind for error in errors if error} == {"RecursionError"}
    assert "ada@a.example" not in str([row.summary for row in await rows(ledger, batches)])


def out_of_the_ledger(error):
    with suppress(type(error)), leaving():
        raise error
    return error


def of_the_prefect_api():
    return httpx.ConnectError("no", request=httpx.Request("GET", f"{get_current_settings().api.url}/health"))


@pytest.mark.parametrize(
    "error",
    [
        lambda: NotRecorded("away"),
        lambda: out_of_the_ledger(ConnectionRefusedError()),
        PrefectException,
        of_the_prefect_api,
    ],
)
async def test_an_error_that_no_notification_can_be_blamed_for_waits_for_its_lease(
    bench, asked, monkeypatch, error
):
    monkeypatch.setattr(Weighing, "error", error())
    assert not (await run_once(bench.runtime.ledger, alone=True)).blames
    found = await rows(bench.runtime.ledger)
    assert {(row.state, row.suspicion) for row in found} == {("claimed", 0)}


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        httpx.ConnectError("of a service of its own"),
        SystemExit(),
        asyncio.CancelledError(),
    ],
)
async def test_what_the_types_own_step_raises_is_blamed_on_its_batch(bench, asked, monkeypatch, error):
    monkeypatch.setattr(Weighing, "error", error)
    assert (await run_once(bench.runtime.ledger, alone=True)).kind == type(error).__name__
    found = await rows(bench.runtime.ledger)
    assert all(row.suspicion for row in found)


async def test_prefect_is_told_the_kind_and_the_place_and_nothing_of_the_content(bench, asked, client):
    claim = await claims.reserve(bench.runtime.ledger, "note", Priority.NORMAL)
    state = await guarded_flow(weighed)(batch=claim.id, return_state=True)
    await flush_prefect()
    run = state.state_details.flow_run_id
    tasks = [await ended_task_run(client, run, name) for name in ("lookup", "weigh")]
    shown = [state.message, *(task.state.message for task in tasks)]
    shown += [line.message for line in await client.read_logs()]
    assert "weigh failed: RecursionError at" in str(shown)
    assert "ada@a.example" not in str(shown)


async def test_parameters_are_validated_and_a_block_is_left_to_prefect():
    validate = guarded_flow(note).validate_parameters
    made = validate({"requests": [{"recipient": {"id": "ada"}, "data": {"text": "a"}}]})
    assert [(type(one), one.recipient.id) for one in made["requests"]] == [(Request[Note], "ada")]
    assert validate({}) == {}
    with pytest.raises(ParameterTypeError, match="block references"):
        validate({"requests": {"$ref": "nowhere"}})


async def test_doctor_and_explain_name_the_suspects(bench, asked):
    ledger = bench.runtime.ledger

    async def suspects():
        return [found for found in await ledger_findings(bench.runtime.settings) if found.what == "suspects"]

    assert await suspects() == []
    heavy = asked[4].id
    while not (found := await explain(ledger, heavy)).reason.endswith("goes out again alone"):
        await change(ledger, due_at=LONG_AGO)
        await run_once(ledger)
    [told] = await suspects()
    assert not told.ok
    assert f"note {heavy}: its run failed (RecursionError); it goes out again alone" in told.found
    assert "waypost explain" in told.advice
    assert {line.detail.partition(";")[0] for line in found.timeline if line.what == "run failed"} == {
        "its run failed (RecursionError)"
    }


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (
            {"requests": [{"recipient": {"email": "ada@a.example"}, "data": {"text": 7}}]},
            "requests.0.data.text: ",
        ),
        ({"requests": "ada@a.example"}, "requests: not a list"),
        ({"requests": [{"recipient": {"email": "ada@a.example"}, "ada@a.example": 1}]}, "no such field"),
        ({"ada@a.example": 1}, "no such field"),
        ({"batch": "ada@a.example"}, "batch: not an id"),
    ],
)
async def test_a_run_with_invalid_parameters_names_the_field_and_shows_no_value(
    bench, client, caplog, parameters, told
):
    flow = guarded_flow(note)
    run = await client.create_flow_run(flow)
    state = await run_flow_async(flow, flow_run=run, parameters=parameters, return_type="state")
    await flush_prefect()
    [stored] = await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
    shown = [state.message, stored.state.message, caplog.text]
    shown += [line.message for line in await client.read_logs()]
    assert told in state.message
    assert "ada@a.example" not in str(shown)
