"""What the pages need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waypost.ledger import Ledger
from waypost.model.brand import DEFAULT, Brand
from waypost.recipients.choices import Catalogue
from waypost.recipients.links import Links


@dataclass(frozen=True, slots=True)
class PagesContext:
    """catalogue: the types and the terms of their categories. links: reads the tokens. brands: by name, the
    default among them; may change while the pages are served. default_locale: of recipients without one."""

    ledger: Ledger
    catalogue: Catalogue
    links: Links
    brands: Mapping[str, Brand]
    default_locale: str = "en"

    def brand(self, name: str = DEFAULT) -> Brand:
        """The brand of a mail, or the default brand if it is gone."""
        return self.brands.get(name) or self.brands[DEFAULT]
