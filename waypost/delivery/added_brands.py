"""Brands besides those of the settings, added, changed and removed while a process runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from waypost.config.brands import brand_of, brands
from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.ledger.records import kept_brands
from waypost.model.brand import Brand, BrandName, BrandTerms
from waypost.model.validation_messages import explain

_NAME: TypeAdapter[str] = TypeAdapter(BrandName)


class AddedBrands:
    """All brands of a process: those of the settings, then those that were added. all: by name; replaced and
    never changed, so a run that has begun keeps its brands."""

    def __init__(self, settings: Settings) -> None:
        self._own = brands(settings)
        self._added: dict[str, BrandTerms] = {}
        self.all: Mapping[str, Brand] = self._own

    @property
    def terms(self) -> dict[str, dict[str, Any]]:
        """The terms of the added brands by name, as JSON has them."""
        return {name: one.model_dump(mode="json", exclude_defaults=True) for name, one in self._added.items()}

    def replace_with(self, named: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Replace the added brands by `named`, the terms by name. A faulty brand does not affect the others,
        and keeps its previous terms if it had any. Returns the faults by name."""
        faults: dict[str, str] = {}
        found: dict[str, BrandTerms] = {}
        for name, given in named.items():
            try:
                found[name] = self._checked(name, given)
            except ValueError as error:
                faults[name] = explain(error) if isinstance(error, ValidationError) else str(error)
                if name in self._added and name not in self._own:
                    found[name] = self._added[name]
        self._added = found
        self.all = {**self._own, **{name: brand_of(name, terms) for name, terms in found.items()}}
        return faults

    def _checked(self, name: str, given: Mapping[str, Any]) -> BrandTerms:
        if name in self._own:
            raise ValueError("the settings have a brand of that name, which takes precedence")
        try:
            _NAME.validate_python(name)
        except ValidationError:
            raise ValueError("a brand's name has at most 41 small letters, digits and hyphens") from None
        terms = BrandTerms.model_validate(given)
        if terms.sender is None:
            raise ValueError("sender: missing")
        return terms


async def all_brands(settings: Settings, ledger: Ledger) -> Mapping[str, Brand]:
    """Every brand by its name: those of the settings, then those that workers found in Prefect."""
    found = AddedBrands(settings)
    found.replace_with(await kept_brands.read(ledger))
    return found.all
