"""What a client sets for a recipient, or for all of its recipients, by category."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
)

from waypost.gateway.problems import Fault, Problem
from waypost.model.cadence import AT_ONCE, Cadence, Every
from waypost.model.category import Category, CategoryTerms, terms_of
from waypost.model.permission import Preference
from waypost.model.request import Kind
from waypost.model.suppression import EVIDENCE_KEPT
from waypost.model.word_patterns import NO_NUL_PATTERN

Schema = dict[str, Any]


def _read(value: object) -> Cadence:
    if not isinstance(value, str):
        raise ValueError("not text")
    return Cadence.parse(value)


class Chosen(BaseModel):
    """cadence: at once, hourly, daily at 09:00, weekly on monday at 09:00, monthly on 1 at 09:00, or never.
    channels: the only kinds of channel that are wanted; null for all. confirmed: whether the recipient has
    confirmed the subscription (double opt-in); an earlier confirmation stays until the category is turned
    off. evidence: how the recipient chose, for people: `form of 2026-11-30, box ticked`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    cadence: Annotated[
        Cadence,
        BeforeValidator(_read),
        PlainSerializer(str),
        WithJsonSchema({"type": "string", "format": "cadence", "default": str(AT_ONCE)}),
    ] = AT_ONCE
    channels: Annotated[list[Kind], Field(min_length=1, max_length=10)] | None = None
    confirmed: Annotated[bool, Field(strict=True)] = False
    evidence: Annotated[str, Field(max_length=EVIDENCE_KEPT, pattern=NO_NUL_PATTERN)] = ""

    @property
    def preference(self) -> Preference:
        channels = tuple(self.channels) if self.channels else None
        return Preference(self.cadence, channels, self.confirmed, self.evidence)


CHOICES: TypeAdapter[dict[Category, Chosen | None]] = TypeAdapter(
    Annotated[dict[Category, Chosen | None], Field(min_length=1)]
)


def checked(
    asked: Mapping[Category, Chosen | None],
    settings: Mapping[Category, CategoryTerms],
    kinds: Collection[str],
) -> None:
    """Raise Problem for what no recipient may choose. kinds: the kinds of channel that there are."""
    faults = [
        fault for category, one in asked.items() if one for fault in _faults(category, one, settings, kinds)
    ]
    if faults:
        raise Problem("invalid", f"{faults[0].path}: {faults[0].reason}", faults)


def _faults(
    category: Category, one: Chosen, settings: Mapping[Category, CategoryTerms], kinds: Collection[str]
) -> list[Fault]:
    terms = terms_of(category, settings)
    if terms.mandatory:
        why = "it is mandatory, so nothing can be chosen for it; WAYPOST_CATEGORIES says which categories are"
        return [Fault(str(category), why)]
    found: list[Fault] = []
    if one.cadence.every is Every.NEVER and not terms.optional:
        why = f"{category} cannot be turned off; WAYPOST_CATEGORIES says which categories are optional"
        found.append(Fault(f"{category}.cadence", why))
    for number, kind in enumerate(one.channels or ()):
        if kind not in kinds:
            why = f"no type uses this channel; there are {', '.join(sorted(kinds))}"
            found.append(Fault(f"{category}.channels.{number}", why))
    return found


def schema(chosen: Schema, settings: Mapping[Category, CategoryTerms], kinds: Collection[str]) -> Schema:
    """The schema of the body: an object with at least one category. chosen: the schema of `Chosen`."""
    properties = {
        str(category): _of_category(chosen, terms_of(category, settings), kinds) for category in Category
    }
    return {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": properties}


def _of_category(chosen: Schema, terms: CategoryTerms, kinds: Collection[str]) -> Schema:
    if terms.mandatory:
        return {"type": "null"}
    fields = cast("Schema", dict(chosen["properties"]))
    if not terms.optional:
        fields["cadence"] = {**fields["cadence"], "format": "cadence-not-never"}
    listed, nothing = fields["channels"]["anyOf"]
    fields["channels"] = {
        **fields["channels"],
        "anyOf": [{**listed, "items": {"enum": sorted(kinds)}}, nothing],
    }
    return {"anyOf": [{**chosen, "properties": fields}, {"type": "null"}]}
