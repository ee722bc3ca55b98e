"""The query parameters of a list."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from waypost.gateway.problems import Fault, Problem
from waypost.ledger.operations.search import Filter
from waypost.mail.address import keys_of
from waypost.model.facts import Moment
from waypost.model.plain_numbers import PlainNumbers
from waypost.model.states import State
from waypost.model.word_patterns import NO_NUL_PATTERN

MOST_LISTED = 200


class LeftOut:
    """Removes null from a parameter's schema: a query leaves the parameter out instead."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema)["anyOf"][0]


_Text = Annotated[Annotated[str, Field(max_length=320, pattern=NO_NUL_PATTERN)] | None, LeftOut()]
_Moment = Annotated[Moment | None, LeftOut()]


class Listing(BaseModel):
    """state: any of these. since: accepted at or after it. until: accepted before it. after: the `next` of
    the previous page."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    state: Annotated[list[State], Field(max_length=20)] = []
    type: _Text = None
    recipient: _Text = None
    tag: _Text = None
    brand: _Text = None
    since: _Moment = None
    until: _Moment = None
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED), PlainNumbers] = 50
    after: Annotated[UUID | None, LeftOut()] = None

    def of(self, client: str) -> Filter:
        """The ledger's filter for the notifications of `client`."""
        return Filter(
            states=tuple(self.state),
            type=self.type,
            since=self.since,
            until=self.until,
            client=client,
            recipient=() if self.recipient is None else keys_of(self.recipient),
            tag=self.tag,
            brand=self.brand,
        )


def each_once(request: Request, *several: str) -> None:
    """Raise Problem if a parameter not in `several` is repeated: one of its values would be ignored."""
    query = request.query_params
    for name in query:
        if name not in several and len(query.getlist(name)) > 1:
            raise Problem("invalid", f"{name}: given more than once", [Fault(name, "given more than once")])
