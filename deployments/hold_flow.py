"""The flow `waypost-hold`: what `waypost hold` and `release` do, for people who work in the Prefect UI."""

from typing import Annotated, Any, Literal

from prefect import State, flow
from prefect.states import Completed
from pydantic import AfterValidator, Field

from waypost.delivery.runtime import Runtime
from waypost.deployments.form_schema import form_schema, with_choices
from waypost.deployments.registry import a_type, registered
from waypost.ledger.queue import holds

NAME = "waypost-hold"
ENTRYPOINT = f"{__name__}.hold"


@flow(name=NAME)
async def hold(
    type: Annotated[str, AfterValidator(a_type)],
    action: Literal["hold", "release"] = "hold",
    reason: Annotated[str, Field(max_length=320)] = "",
) -> State[Any]:
    """Stop a type, or let it go out again.

    Args:
        type: The type of notification.
        action: Hold stops the type, after the message on the wire. Release sends what waits.
        reason: Why it is held. Prefect stores and shows it, and so do `waypost doctor` and `explain`.
    """
    ledger = (await Runtime.current()).ledger
    if action == "release":
        released = await holds.release(ledger, type)
        told = "is released" if released.hold else "was not held"
        return Completed(message=f"{type} {told}; {released.due} are due now")
    held = await holds.hold(ledger, type, reason)
    told = f"{held.waiting} waiting; {held.sending} on the wire, which are still sent"
    return Completed(message=f"{type} is held; {told}")


def form() -> dict[str, Any]:
    """The schema of the parameters, with the types as choices."""
    form = form_schema(hold.parameters.model_dump_for_openapi())
    return with_choices(form, "type", sorted(registered()))
