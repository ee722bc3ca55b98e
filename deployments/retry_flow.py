"""The flow `waypost-retry`: what `waypost retry` does, for people who work in the Prefect UI."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal

from prefect import State, flow
from prefect.states import Completed
from pydantic import AfterValidator, Field

from waypost.delivery.runtime import Runtime
from waypost.deployments.form_schema import form_schema, with_choices
from waypost.deployments.registry import a_type, registered
from waypost.ledger.operations import retry_cancel, search
from waypost.ledger.operations.search import Filter
from waypost.model.states import State as Where
from waypost.system.clock import now
from waypost.system.moments import moment_in
from waypost.tasks.markdown import as_code
from waypost.tasks.run_context import run_logger
from waypost.tasks.run_table import show_table

NAME = "waypost-retry"
ENTRYPOINT = f"{__name__}.retry"
ROWS_SHOWN = 50

Chosen = Literal["failed", "expired", "cancelled", "deferred", "held in doubt"]


def _a_moment(text: str) -> str:
    try:
        moment_in(text)
    except ValueError:
        raise ValueError("not a time: write 30m, 2h or 3d (ago), or 2026-01-31T08:00") from None
    return text


@flow(name=NAME)
async def retry(
    type: Annotated[Annotated[str, AfterValidator(a_type)] | None, Field()] = None,
    state: Chosen = "failed",
    since: Annotated[str, AfterValidator(_a_moment), Field(max_length=40)] = "1d",
    reason: Annotated[str, Field(max_length=320)] = "",
    limit: Annotated[int, Field(ge=1, le=100_000)] = 1000,
    dry_run: bool = True,
) -> State[Any]:
    """Send notifications again that failed or wait for a person.

    Args:
        type: Only this type. Empty: every type.
        state: Only notifications in this state. What is held in doubt may have arrived: it may arrive twice.
        since: Only notifications accepted since then: 30m, 2h or 3d ago, or a time such as 2026-01-31T08:00Z.
        reason: Only notifications whose reason has this text. Empty: every reason.
        limit: How many are retried at most.
        dry_run: Only count them and list the first. Switch it off to retry.
    """
    ledger = (await Runtime.current()).ledger
    deadlines = {name: one.type.deadline for name, one in registered().items()}
    wanted = _filter(type, state, since, reason)
    selected = await _selected(ledger, wanted, deadlines)
    able = sum(one.count for one in selected if not one.left)
    for one in selected:
        run_logger().info("%d %s: %s", one.count, one.state, one.left or "can be retried")
    if dry_run:
        if able:
            await _show(ledger, wanted)
        told = f"{min(able, limit)} of {able} would be retried" if able else "nothing would be retried"
        return Completed(name="DryRun", message=f"{told}; switch Dry run off to retry" if able else told)
    done = await retry_cancel.retry(ledger, wanted, deadlines, most=limit)
    return Completed(message=_done_in_words(done, able))


def form() -> dict[str, Any]:
    """The schema of the parameters, with the types as choices."""
    form = form_schema(retry.parameters.model_dump_for_openapi())
    return with_choices(form, "type", [*sorted(registered()), None])


def _filter(type: str | None, state: Chosen, since: str, reason: str) -> Filter:
    """Only those accepted before now, as counted."""
    return Filter(
        states=(Where.HELD if state == "held in doubt" else Where(state),),
        type=type,
        since=moment_in(since),
        until=now(),
        reason=reason or None,
    )


async def _selected(
    ledger: Any, wanted: Filter, deadlines: Mapping[str, timedelta]
) -> list[retry_cancel.Selection]:
    why_left = partial(retry_cancel.not_retried, deadlines=deadlines)
    return await retry_cancel.preview(ledger, wanted, why_left)


async def _show(ledger: Any, wanted: Filter) -> None:
    """List the first notifications in Prefect."""
    page = await search.find(ledger, wanted, limit=ROWS_SHOWN)
    rows = [
        {
            "Type": one.type,
            "State": one.state,
            "Recipient": as_code(one.recipient),
            "Notification": str(one.id),
            "Reason": as_code(one.reason),
        }
        for one in page.notifications
    ]
    more = f"The first {ROWS_SHOWN} are shown." if page.next else ""
    await show_table(NAME, rows, f"Selected for a retry. {more}")


def _done_in_words(done: Counter[Where], able: int) -> str:
    if not done.total():
        return "nothing was retried: no notification matches"
    left = able - done.total()
    more = f"; {left} more can be retried: run it again" if left > 0 else ""
    return f"{done.total()} retried ({', '.join(f'{count} {state}' for state, count in done.items())}){more}"
