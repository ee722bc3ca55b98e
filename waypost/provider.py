"""A provider as the settings name it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from waypost.priority import Priority

ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]


class Provider(BaseModel):
    """Where messages go, and on what terms.

    url: smtp://, smtps://, maildir://, webhook+https:// or any of Apprise's.
    kind: the route word it serves. Default: what its URL says; an Apprise URL serves any but "email".
    weight: its share of first tries among the providers of its kind that have one (3 and 1: three of four
    go to the first). Without, providers are tried in the order they are named.
    rate: messages a second, over all workers. lanes: the priorities it takes; default all.
    secrets: whsec_... keys a webhook is signed with. allow_private: whether a webhook may go to an address
    of a private network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: SecretStr
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")] | None = None
    weight: Annotated[int, Field(ge=1, le=1000)] | None = None
    rate: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    lanes: frozenset[Priority] = frozenset(Priority)
    secrets: tuple[SecretStr, ...] = ()
    allow_private: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.lanes:
            raise ValueError("lanes is empty: name at least one of urgent, normal and bulk, or leave it out")
        if self.secrets and not self.url.get_secret_value().startswith("webhook+"):
            raise ValueError("secrets sign webhooks, and the url names none")
        return self


PLAIN = Provider(url=SecretStr(""))
