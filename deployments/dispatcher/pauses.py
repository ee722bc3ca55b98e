"""Holds and pauses as one: a held type has a paused deployment, and a paused deployment holds its type.

The ledger decides what is sent. A change on either side reaches the other with the next look of a worker,
also if the worker or Prefect was away meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.responses import DeploymentResponse

from waypost.ledger import Ledger
from waypost.ledger.queue.mirrored_holds import LedgerSide, is_held_now, ledger_sides, settle
from waypost.mail.masking import mask_in
from waypost.tasks.markdown import as_code

TAG = "held"  # of the deployment of a held type
PAUSED = "paused in Prefect"  # the reason of a hold that was made there
_SHOWN = "**Held"  # the description of a held type's deployment begins so, and has a paragraph of it
LONGEST_REASON = 200
NO_REASON = "`no reason given`"

logger = logging.getLogger("waypost.prefect")


@dataclass(frozen=True, slots=True)
class Change:
    """What to do about one type: hold or release it, and pause or resume its deployment. Either may be so
    already."""

    deployment: DeploymentResponse
    side: LedgerSide
    held: bool

    @property
    def type(self) -> str:
        return self.deployment.name

    @property
    def reason(self) -> str:
        """Why it is held."""
        return self.side.reason if self.side.held else PAUSED

    @property
    def came_from_prefect(self) -> bool:
        return self.held != self.side.held

    @property
    def update(self) -> DeploymentUpdate | None:
        """What the deployment is to show; None if it does."""
        shown = self.deployment
        tags = [tag for tag in shown.tags if tag != TAG] + [TAG] * self.held
        told = _described(shown.description or "", self.type, self.reason if self.held else None)
        fields: dict[str, Any] = {}
        if shown.paused != self.held:
            fields["paused"] = self.held
        if sorted(shown.tags) != sorted(tags):
            fields["tags"] = tags
        if (shown.description or "") != told:
            fields["description"] = told
        return DeploymentUpdate(**fields) if fields else None


def changes(sides: Mapping[str, LedgerSide], found: Iterable[DeploymentResponse]) -> list[Change]:
    """The types of which a side was changed, or is not shown as it is."""
    looked_at = (
        Change(one, sides[one.name], _is_held_now(sides[one.name], one)) for one in found if one.name in sides
    )
    return [
        one
        for one in looked_at
        if one.update is not None
        or one.held != one.side.held
        or one.side.before(one.deployment.id) != one.held
    ]


def _is_held_now(side: LedgerSide, shown: DeploymentResponse) -> bool:
    return is_held_now(side.held, shown.paused, TAG in shown.tags, side.before(shown.id))


class Pauses:
    """The ledger's part of the looks."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def sides(self, types: Sequence[str]) -> dict[str, LedgerSide]:
        """The ledger's side of each type."""
        return await ledger_sides(self._ledger, types)

    async def is_current(self, change: Change) -> bool:
        """Whether the ledger's side is still as it was when the change was decided."""
        return (await self.sides([change.type]))[change.type] == change.side

    async def settle(self, change: Change) -> bool:
        """Make the change in the ledger. False if the ledger was changed since the look."""
        settled = await settle(
            self._ledger, change.type, change.deployment.id, change.side, change.held, change.reason
        )
        if settled and change.came_from_prefect:
            done = ("held", "paused") if change.held else ("released", "resumed")
            logger.warning("%s is %s: its deployment was %s in Prefect", change.type, *done)
        return settled


def _described(text: str, type: str, reason: str | None) -> str:
    """`text` with a first paragraph about the hold, or without. reason: None for a type that is not held."""
    if text.startswith(_SHOWN):
        text = text.partition("\n\n")[2]
    if reason is None:
        return text
    why = f": {as_code(mask_in(reason)[:LONGEST_REASON]) or NO_REASON}" if reason else ""
    return (
        f"{_SHOWN}{why}.** Nothing of this type is sent. Resume the deployment, or run "
        f"`waypost release {type}`, to send it again.\n\n{text}"
    )
