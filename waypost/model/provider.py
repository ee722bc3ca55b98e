"""A provider as configured by the settings or by a block in Prefect."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from waypost.model.priority import Priority
from waypost.model.word_patterns import KIND_PATTERN, PROVIDER_PATTERN

ProviderName = Annotated[str, StringConstraints(pattern=PROVIDER_PATTERN)]
Kind = Annotated[str, StringConstraints(pattern=KIND_PATTERN)]
Weight = Annotated[int, Field(ge=1, le=1000)]
PerSecond = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
Connections = Annotated[int, Field(ge=1, le=100)]


class Provider(BaseModel):
    """Where messages go, and on what terms.

    url: smtp://, smtps://, maildir://, webhook+https:// or any of Apprise's.
    kind: the route word it serves. Default: what its URL says; an Apprise URL serves any but "email".
    weight: its share of first tries among the providers of its kind with a weight (3 and 1: three of four
    go to the first). Without weights, providers are tried in the order they are named.
    rate: messages a second, over all workers. lanes: the priorities it takes; default all.
    connections: the most connections open to a mail server; overrides its URL.
    secrets: whsec_... keys a webhook is signed with. allow_private: whether a webhook may go to an address
    of a private network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: SecretStr
    kind: Kind | None = None
    weight: Weight | None = None
    rate: PerSecond | None = None
    connections: Connections | None = None
    lanes: frozenset[Priority] = frozenset(Priority)
    secrets: tuple[SecretStr, ...] = ()
    allow_private: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.lanes:
            raise ValueError("lanes is empty; name at least one of urgent, normal and bulk, or leave it out")
        if self.secrets and not self.url.get_secret_value().startswith("webhook+"):
            raise ValueError("secrets are for webhooks only; the url is not a webhook")
        if self.connections and not self.url.get_secret_value().lower().startswith(("smtp:", "smtps:")):
            raise ValueError("connections are for mail servers only; the url is not a mail server")
        return self


PLAIN = Provider(url=SecretStr(""))
