"""The result of a seed, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class SimulationResult:
    """The lists say what is wrong, a line each; all are empty for a good seed.

    lost: not in the ledger, stuck, or recorded as sent but never delivered. unexplained: delivered twice
    without an UNKNOWN for it. late: sent after its deadline, or urgent and kept waiting. illegal: whatever
    else must never happen.
    """

    seed: int
    accepted: int = 0
    delivered: int = 0
    duplicated: int = 0
    unknown: int = 0
    kills: int = 0
    steps: int = 0
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict[str, int])
    lost: list[str] = field(default_factory=list[str])
    unexplained: list[str] = field(default_factory=list[str])
    late: list[str] = field(default_factory=list[str])
    illegal: list[str] = field(default_factory=list[str])
    trace: list[str] = field(default_factory=list[str])

    @property
    def good(self) -> bool:
        """Whether nothing is lost, late or illegal, and an UNKNOWN explains every duplicate."""
        return not (self.lost or self.unexplained or self.late or self.illegal)
