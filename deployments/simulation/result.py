"""What came of a seed, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class SimulationResult:
    """The lists say what is wrong, a line each; empty, all is well.

    lost: not in the ledger, stuck, or said to be sent and nowhere. unexplained: delivered twice without an
    UNKNOWN for it. late: sent after its deadline, or urgent and kept waiting. illegal: whatever else is
    never to happen.
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
        """Nothing lost, late or illegal, and every duplicate explained by an UNKNOWN."""
        return not (self.lost or self.unexplained or self.late or self.illegal)
