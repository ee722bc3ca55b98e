"""What a model computes from a sensitive fact and keeps is covered with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr, computed_field, model_validator

from waypost import Facts, Sensitive, Text
from waypost.model.sensitive_values import without_sensitive

SECRET = "k4n4ry"


class Cached(Facts):
    account: Annotated[Text, Sensitive()] = SECRET

    @computed_field
    @cached_property
    def shown(self) -> str:
        return f"of {self.account}"

    @model_validator(mode="after")
    def _read(self) -> Cached:
        assert self.shown
        return self


class AfterInit(Facts):
    account: Annotated[Text, Sensitive()] = SECRET
    _kept: str = ""

    def model_post_init(self, context: Any) -> None:
        self._kept = f"of {self.account}"

    @computed_field
    @property
    def shown(self) -> str:
        return self._kept


class Refusing(AfterInit):
    """Its own code fails with a placeholder."""

    def model_post_init(self, context: Any) -> None:
        if self.account != SECRET:
            raise ValueError("no account")
        super().model_post_init(context)


class AfterValidation(Facts):
    account: Annotated[Text, Sensitive()] = SECRET
    _kept: str = PrivateAttr()

    @model_validator(mode="after")
    def _keep(self) -> AfterValidation:
        self._kept = f"of {self.account}"
        return self

    @computed_field
    @property
    def shown(self) -> str:
        return self._kept


class PlainCached(BaseModel):
    account: Text = SECRET

    @computed_field
    @cached_property
    def shown(self) -> str:
        return f"of {self.account}"

    @model_validator(mode="after")
    def _read(self) -> PlainCached:
        assert self.shown
        return self


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")


@dataclass
class Place:
    street: str = SECRET

    def __post_init__(self) -> None:
        self.shown = f"of {self.street}"


@pytest.mark.parametrize(
    ("kind", "shown"),
    [(Cached, "of [account]"), (AfterInit, "of [account]"), (Refusing, ""), (AfterValidation, "[_kept]")],
)
@pytest.mark.parametrize("depth", [0, 1])
def test_what_is_computed_and_kept_is_computed_from_the_placeholder(kind, shown, depth):
    outer = type("Outer", (Facts,), {"__annotations__": {"inner": list[kind]}})
    whole = outer(inner=[kind()])
    covered = without_sensitive(whole).inner[0] if depth else without_sensitive(whole.inner[0])
    assert SECRET not in f"{covered.model_dump()} {vars(covered)} {covered.__pydantic_private__}"
    assert covered.shown == shown
    assert SECRET in whole.inner[0].shown


@pytest.mark.parametrize(
    ("kind", "value", "dumped"),
    [
        (PlainCached, {}, {"account": "[account]", "shown": "of [account]"}),
        (Extra, {"city": SECRET, "zips": [SECRET]}, {"city": "[city]", "zips": ["[zips]"]}),
        (Place, {}, {"street": "[street]"}),
    ],
)
def test_a_sensitive_model_keeps_nothing_beside_its_placeholders(kind, value, dumped):
    model = type("Whole", (Facts,), {"__annotations__": {"whole": Annotated[kind, Sensitive()]}})
    covered = without_sensitive(model(whole=value))
    assert covered.model_dump() == {"whole": dumped}
    assert SECRET not in f"{vars(covered.whole)}"
