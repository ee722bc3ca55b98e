"""Intake: validates requests and accepts those that arrive together in shared ledger transactions."""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Protocol, Union, cast

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo

from waypost.gateway import problems
from waypost.gateway.auth.authenticator import Caller
from waypost.gateway.http import body
from waypost.gateway.json_limits import ItemTooLarge, NotBatch, items
from waypost.gateway.memory_budget import too_much
from waypost.gateway.problems import Fault, Problem
from waypost.gateway.unavailable import ledger_away
from waypost.ledger import Ledger
from waypost.ledger.database.group_commit import GroupCommit
from waypost.ledger.intake.accept import accept_all, accept_whole
from waypost.ledger.intake.candidate import Candidate
from waypost.mail.allowed_senders import NOT_ALLOWED, Senders
from waypost.mail.raw_message import parse
from waypost.model.notification_type import NotificationType
from waypost.model.receipt import IntakeResult, Receipt
from waypost.model.request import AnyRequest
from waypost.policy import acceptance
from waypost.system.isolation import ItemFailed, isolated
from waypost.system.outage import is_outage
from waypost.system.time_slices import Slices
from waypost.telemetry.metrics import TAKEN

A_TRANSACTION = 500
MOST_WAITING = 5000  # queued requests; beyond that, further requests are refused at once
MOST_ITEMS = 1000  # in a batch
SLICE_SECONDS = 0.005  # of work on a batch before other tasks get a turn


class RegisteredType(Protocol):
    """A type, and the shape of its requests."""

    @property
    def type(self) -> NotificationType: ...

    @property
    def shape(self) -> type[BaseModel]: ...


class Intake:
    """Validates requests and writes them to the ledger."""

    def __init__(
        self, ledger: Ledger, types: Mapping[str, RegisteredType], senders: Mapping[str, Senders]
    ) -> None:
        """senders: by brand, the senders allowed in a mail that its author finished. It has every brand."""
        self.types = types
        self.senders = senders
        self.shapes = {name: _named(name, one.shape) for name, one in types.items()}
        self._reads: TypeAdapter[Any] = TypeAdapter(any_of(list(self.shapes.values())))
        self._ledger = ledger
        self._commits: GroupCommit[Candidate, Receipt] = GroupCommit(
            self._store, alone=lambda error: not is_outage(error), most=A_TRANSACTION
        )

    def candidate(self, caller: Caller, text: bytes, key: str | None = None) -> Candidate:
        """Parse `text`; check that `caller` may send it. key: the Idempotency-Key header. Raises Problem."""
        try:
            with isolated("reading", Problem):
                return self._candidate(caller, text, key)
        except ItemFailed as failed:
            raise _mistake(failed) from None

    def _candidate(self, caller: Caller, text: bytes, key: str | None) -> Candidate:
        try:
            request: AnyRequest = self._reads.validate_json(text)
        except ValidationError as error:
            raise self._problem(caller, error) from None
        name: str = request.type  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
        type = self.types[cast(str, name)].type
        caller.require("send", type.name)
        if wrong := acceptance.faults(request, type, self.senders, caller.brand):
            raise Problem("invalid", "{}: {}".format(*wrong[0]), [Fault(*one) for one in wrong])
        if caller.only_to is not None:
            if wrong := acceptance.beyond(request, caller.only_to):
                raise Problem("forbidden", "{}: {}".format(*wrong[0]), [Fault(*one) for one in wrong])
            request = acceptance.with_named_channels(request, type)
            if not request.channels:
                raise Problem(
                    "invalid", "recipient: no channel of the type reaches the address that it names"
                )
        senders = self.senders[acceptance.brand_of(request, type, caller.brand)]
        if type.finished is not None and not senders.allow(parse(type.finished(request.data)).authors):
            raise Problem("forbidden", NOT_ALLOWED)
        if key and request.idempotency_key not in (None, key):
            raise Problem("invalid", "idempotency_key: differs from the header Idempotency-Key")
        return Candidate(type, request, caller.client, key, key_brand=caller.brand)

    def sends_from(self, addresses: Collection[str], brand: str | None = None) -> bool:
        """Whether a mail may be from all of `addresses`: for `brand`, or for any if it is None or unknown."""
        of_brand = self.senders.get(brand or "")
        return any(one.allow(addresses) for one in ([of_brand] if of_brand else self.senders.values()))

    async def accept(self, candidate: Candidate) -> Receipt:
        """Return the receipt once the request is durable. Raises Problem for a conflict, a recipient that no
        channel reaches, a full queue or an unavailable ledger."""
        self._have_room()
        try:
            receipt = await self._commits.add(candidate)
        except Exception as error:
            raise _told(error) from None
        if problem := _problem(receipt):
            raise problem
        return receipt

    async def accept_together(self, candidates: Sequence[Candidate]) -> list[Receipt]:
        """Accept all candidates in one transaction, or none; return the receipts. Raises Problem."""
        if len(candidates) == 1:
            return [await self.accept(candidates[0])]
        try:
            with isolated("accepting", outage=is_outage):
                receipts = await accept_whole(self._ledger, candidates)
            taken(candidates, receipts)
        except Exception as error:
            raise _told(error) from None
        if problem := next(filter(None, map(_problem, receipts)), None):
            raise problem
        return receipts

    async def accept_many(self, caller: Caller, text: bytes) -> list[Receipt | Problem]:
        """Return a result for each item of the batch `text`; an invalid item does not affect others. Raises
        Problem if `text` is not a batch or exceeds a limit, and if the queue is full."""
        self._have_room()
        slices = Slices(SLICE_SECONDS)
        results: list[Receipt | Problem | Candidate] = []
        try:
            async for item in items(text, body.ONE, slices):
                if len(results) == MOST_ITEMS:
                    raise Problem("too-large", f"a batch may have at most {MOST_ITEMS:,} notifications")
                await slices.pause()
                results.append(self._candidate_or_problem(caller, item, len(results)))
                await slices.pause()
        except NotBatch:
            raise Problem(
                "malformed", 'the body must be {"notifications": [...]} without other fields'
            ) from None
        except ItemTooLarge as error:
            wrong = f"larger than {body.ONE:,} bytes, the limit for a notification"
            raise Problem("too-large", f"notifications.{error.number}: {wrong}") from None
        accepted = iter(
            await asyncio.gather(
                *(self._commits.add(one) for one in results if isinstance(one, Candidate)),
                return_exceptions=True,
            )
        )
        return [one if isinstance(one, Problem) else _result(next(accepted)) for one in results]

    def _candidate_or_problem(self, caller: Caller, item: bytes, number: int) -> Candidate | Problem:
        """Raises Problem for a malformed item, because then the whole batch is malformed."""
        try:
            return self.candidate(caller, body.checked(item))
        except Problem as problem:
            if problem.kind.code == "malformed":
                raise Problem("malformed", f"notifications.{number}: {problem.detail}") from None
            return problem

    async def close(self) -> None:
        await self._commits.close()

    async def _store(self, candidates: list[Candidate]) -> list[Receipt]:
        if len(candidates) == 1:
            with isolated("accepting", outage=is_outage):
                receipts = await accept_all(self._ledger, candidates)
        else:
            receipts = await accept_all(self._ledger, candidates)
        taken(candidates, receipts)
        return receipts

    def _have_room(self) -> None:
        if len(self._commits) > MOST_WAITING:
            raise too_much()

    def _problem(self, caller: Caller, error: ValidationError) -> Problem:
        """The problem for a validation error. Raises Problem if the caller may not send the type, so that
        the caller learns nothing about it. With several types, pydantic puts the type it tried first in each
        path; the caller did not write that part, so it is left out."""
        errors = error.errors(include_url=False, include_input=False)
        if errors[0]["type"] in ("union_tag_invalid", "union_tag_not_found"):
            lacking = "missing; send " if errors[0]["type"] == "union_tag_not_found" else "not "
            wrong = f"{lacking}one of {', '.join(sorted(self.types))}"
            return Problem("invalid", f"type: {wrong}", [Fault("type", wrong)])
        if errors[0]["type"] == "json_invalid":
            return problems.invalid(errors)
        tried, skipped = (errors[0]["loc"][:1], 1) if len(self.shapes) > 1 else (tuple(self.shapes), 0)
        for type in tried:
            caller.require("send", str(type))
        return problems.invalid(errors, skipped)


def any_of(shapes: Sequence[Any]) -> Any:
    """A union of `shapes` that the field `type` selects from; a single shape needs no discriminator."""
    together = cast(Any, Union)[tuple(shapes)]
    return Annotated[together, Field(discriminator="type")] if len(shapes) > 1 else together


@cache  # making one takes milliseconds, and a project may have a hundred
def _named(name: str, shape: type[BaseModel]) -> type[BaseModel]:
    """The shape of a type's requests with the field `type` added, as HTTP sends them."""
    field = cast(Any, (Literal[name], FieldInfo(description="The notification type.")))  # pyright: ignore[reportInvalidTypeForm]
    return create_model(f"Send{name.title().replace('-', '')}", __base__=shape, type=field)


def _result(answer: Receipt | BaseException) -> Receipt | Problem:
    match answer:
        case Receipt():
            return _problem(answer) or answer
        case Exception() if isinstance(told := _told(answer), Problem):
            return told
        case _:
            raise answer


def _problem(receipt: Receipt) -> Problem | None:
    """The problem for a request that the ledger refused; None for any other receipt."""
    match receipt.outcome:
        case IntakeResult.CONFLICT:
            return Problem("idempotency-conflict", receipt.reason)
        case IntakeResult.REFUSED:
            field, _, reason = receipt.reason.partition(": ")
            return Problem("invalid", receipt.reason, [Fault(field, reason)])
        case _:
            return None


def _told(error: Exception) -> Exception:
    """The problem for an error that accepting raised; an unexpected error is returned as it is."""
    return _mistake(error) if isinstance(error, ItemFailed) else ledger_away(error) or error


def _mistake(failed: ItemFailed) -> Problem:
    return Problem("internal", str(failed))


def taken(candidates: Sequence[Candidate], receipts: Sequence[Receipt]) -> None:
    """Count the receipts by type and outcome."""
    each = Tally(
        (one.type.name, str(receipt.outcome)) for one, receipt in zip(candidates, receipts, strict=True)
    )
    for labels, count in each.items():
        TAKEN.labels(*labels).inc(count)
