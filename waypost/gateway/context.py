"""The context that the gateway's routes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import Request

from waypost.gateway.auth.authenticator import LOOKED_AGAIN_SECONDS, Authenticator, Caller
from waypost.gateway.http import body
from waypost.gateway.intake import Intake, RegisteredType
from waypost.gateway.memory_budget import MemoryBudget
from waypost.gateway.problems import Problem
from waypost.ledger import Ledger
from waypost.mail.allowed_senders import Senders
from waypost.model.category import Category, CategoryTerms
from waypost.model.notification_type import NotificationType


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """What every route needs. prefect: whether Prefect's API answers. private_webhooks: whether a webhook may
    lead to this machine or a private network. memory: for the bodies of requests in progress. categories: the
    installation's terms of each, where they differ from the shipped. types_of: the names of the types of each
    category, digests included."""

    ledger: Ledger
    types: Mapping[str, RegisteredType]
    secret_key: bytes = field(repr=False)
    authenticator: Authenticator
    intake: Intake
    prefect: Callable[[], Awaitable[bool]]
    private_webhooks: bool = False
    memory: MemoryBudget = field(default_factory=MemoryBudget)
    categories: Mapping[Category, CategoryTerms] = field(default_factory=dict[Category, CategoryTerms])
    types_of: Mapping[Category, Sequence[str]] = field(default_factory=dict[Category, Sequence[str]])
    declared: Mapping[str, NotificationType] = field(default_factory=dict[str, NotificationType])

    @classmethod
    def over(
        cls,
        ledger: Ledger,
        declared: Mapping[str, RegisteredType],
        secret_key: bytes,
        prefect: Callable[[], Awaitable[bool]],
        senders: Mapping[str, Senders],
        tokens: Callable[[str], Awaitable[Caller]] | None = None,
        private_webhooks: bool = False,
        categories: Mapping[Category, CategoryTerms] | None = None,
    ) -> GatewayContext:
        """A context for `ledger`. declared: the types; digests are left out, because only Waypost composes
        them. senders: see Intake. tokens: returns the caller of a bearer token that is not an API key.
        categories: WAYPOST_CATEGORIES."""
        offered = {name: one for name, one in declared.items() if not one.type.digest}
        callers, intake = Authenticator(ledger, tokens), Intake(ledger, offered, senders)
        types_of = {
            category: [name for name, one in declared.items() if one.type.category is category]
            for category in Category
        }
        return cls(
            ledger, offered, secret_key, callers, intake, prefect, private_webhooks,
            categories=categories or {}, types_of=types_of,
            declared={name: one.type for name, one in declared.items()},
        )  # fmt: skip

    async def caller(self, request: Request) -> Caller:
        """The caller who sent `request`. Raises Problem."""
        return await self.authenticator.authenticate(request.headers.get("authorization", ""))

    @asynccontextmanager
    async def body(self, request: Request, caller: Caller, most: int = body.ONE) -> AsyncGenerator[bytes]:
        """The body, at most `most` bytes, with memory reserved for it until its request is answered. If
        receiving it took long, the caller's key is checked again: it may have been revoked meanwhile.
        Raises Problem."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self.memory.of(caller.client, body.announced(request, most)) as held:
            found = await body.read(request, most)
            if clock() - began > LOOKED_AGAIN_SECONDS:
                await self.authenticator.verify(request.headers["authorization"])
            if not found or found.isspace():
                raise Problem("malformed", "the body is empty; send JSON")
            held.shrink(len(found))
            yield found
