"""What came of a seed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Verdict:
    """A seed's outcome: `wrong` is empty when all is right; `recovery_s` by kind of fault; `runs` how often
    the main job had to be started; `notes` are worth knowing."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    recovery_s: list[tuple[str, float]] = field(default_factory=list)
    took_s: float = 0.0
    runs: int = 0
    notes: list[str] = field(default_factory=list)
