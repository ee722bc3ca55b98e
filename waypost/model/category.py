"""Categories: why somebody receives a notification, and what an installation says of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from waypost.model.cadence import AT_ONCE, Cadence
from waypost.model.priority import Priority


class Category(StrEnum):
    """Why somebody receives a type. It decides what its recipients may turn off, and the type's lane."""

    SECURITY = "security"
    TRANSACTIONAL = "transactional"
    ALERT = "alert"
    PRODUCT = "product"
    MARKETING = "marketing"


LANES = {
    Category.SECURITY: Priority.URGENT,
    Category.ALERT: Priority.URGENT,
    Category.TRANSACTIONAL: Priority.NORMAL,
    Category.PRODUCT: Priority.BULK,
    Category.MARKETING: Priority.BULK,
}


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The hours of a day in which somebody is left in peace, by the clock of their zone. `ends` may be on the
    next day."""

    begins: time
    ends: time

    @classmethod
    def parse(cls, text: object) -> QuietHours:
        """Reads `22:00-08:00`. Raises ValueError."""
        try:
            begins, ends = (time.fromisoformat(part.strip()) for part in str(text).split("-"))
        except ValueError:
            raise ValueError("not hours such as 22:00-08:00") from None
        if begins == ends or begins.tzinfo or ends.tzinfo:
            raise ValueError("not hours such as 22:00-08:00: the two must differ")
        return cls(begins, ends)

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"


def _quiet(value: object) -> object:
    return value if isinstance(value, QuietHours) else QuietHours.parse(value)


def _cadence(value: object) -> object:
    return value if isinstance(value, Cadence) else Cadence.parse(value)


AnyCadence = Annotated[Cadence, BeforeValidator(_cadence), PlainSerializer(str)]


class FrequencyCap(BaseModel):
    """How many notifications of a category a recipient gets within some days at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(gt=0, le=10_000)]
    days: Annotated[float, Field(gt=0, le=366)] = 1

    @property
    def span(self) -> timedelta:
        return timedelta(days=self.days)


class CategoryTerms(BaseModel):
    """A category as WAYPOST_CATEGORIES has it.

    mandatory: nothing that a recipient chose stops it, and no suppression. optional: recipients may turn it
    off, and its mails say how; without it, they choose only channels and times. cadence: when it is sent to
    somebody who chose nothing. channels: the kinds of channel it may use; None for all of a type's route.
    quiet_hours: as `22:00-08:00`, in the recipient's zone. at_most: a frequency cap for each recipient.
    confirm: whether somebody has to confirm before anything of it is sent (double opt-in).
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    mandatory: bool = False
    optional: bool = True
    cadence: AnyCadence = AT_ONCE
    channels: Annotated[list[str], Field(min_length=1)] | None = None
    quiet_hours: Annotated[QuietHours, BeforeValidator(_quiet), PlainSerializer(str)] | None = None
    at_most: FrequencyCap | None = None
    confirm: bool = False


_SHIPPED = {
    **dict.fromkeys(Category, CategoryTerms()),
    Category.SECURITY: CategoryTerms(mandatory=True, optional=False),
    Category.TRANSACTIONAL: CategoryTerms(optional=False),
}


def terms_of(category: Category, settings: Mapping[Category, CategoryTerms]) -> CategoryTerms:
    """What the installation says of a category: the terms that its setting names, and those that ship."""
    shipped, said = _SHIPPED[category], settings.get(category)
    if said is None:
        return shipped
    return shipped.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


def may_be_confirmed(settings: Mapping[Category, CategoryTerms]) -> list[Category]:
    """The categories that a recipient may confirm: those about which recipients choose at all."""
    return [category for category in Category if not terms_of(category, settings).mandatory]


def no_longer_mandatory(settings: Mapping[Category, CategoryTerms]) -> list[Category]:
    """The categories that ship mandatory and are not, as the installation has them."""
    return [
        category
        for category, shipped in _SHIPPED.items()
        if shipped.mandatory and not terms_of(category, settings).mandatory
    ]


def may_be_turned_off(settings: Mapping[Category, CategoryTerms]) -> list[Category]:
    """The categories that a recipient may turn off."""
    every = {category: terms_of(category, settings) for category in Category}
    return [category for category, terms in every.items() if terms.optional and not terms.mandatory]
