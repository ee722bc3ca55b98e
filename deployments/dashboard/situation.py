"""The situation: all that the dashboard knows at one moment, before it is put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from waypost.delivery.provider_state import OpenCircuit
from waypost.deployments.dashboard.traffic import Flow
from waypost.ledger.operations.overview import Failure, LastRun, Waiting
from waypost.ledger.queue.holds import Hold
from waypost.ledger.queue.suspects import Suspect
from waypost.model.priority import Priority


@dataclass(frozen=True, slots=True)
class ProviderLine:
    """A provider as this process knows it. rate: its most messages a second, over all processes. slowed: the
    domains that get less, with the seconds between two messages."""

    name: str
    kind: str
    rate: float | None = None
    slowed: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Situation:
    """routes: by type, the providers that its mail can take first. counted_from: since when the traffic of
    `day` is counted. template_faults: by type, why its changed templates are not in use.
    failure_artifacts: by type, the artifact that lists its failures."""

    now: datetime
    counted_from: datetime
    hour: Mapping[str, Flow]
    day: Mapping[str, Flow]
    waiting: Mapping[str, Waiting]
    failures: Mapping[str, Sequence[Failure]]
    last_runs: Mapping[str, LastRun]
    providers: Sequence[ProviderLine]
    circuits: Sequence[OpenCircuit]
    routes: Mapping[str, Sequence[str]]
    held: Sequence[Hold] = ()
    stopped: Mapping[Priority, str] = field(default_factory=dict[Priority, str])
    suspects: Sequence[Suspect] = ()
    template_faults: Mapping[str, str] = field(default_factory=dict[str, str])
    failure_artifacts: Mapping[str, UUID] = field(default_factory=dict[str, UUID])
