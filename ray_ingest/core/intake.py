"""What an owner accepts of a producer: each offset once, in sequence, nothing skipped."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Intake:
    """One producer's position at an owner: `committed <= flushing <= accepted` offsets in ticks.

    Ticks below `committed` are in the store, below `flushing` in a commit under way, below `accepted` taken.
    """

    committed: int = 0
    flushing: int = 0
    accepted: int = 0

    @classmethod
    def at(cls, committed: int) -> Intake:
        """An intake with nothing under way."""
        return cls(committed, committed, committed)

    @property
    def waiting(self) -> bool:
        """Whether a commit would move the producer's offset; it may do so without any tick."""
        return self.accepted > self.committed

    def accept(self, start: int, count: int, oldest: int = 0) -> slice | None:
        """Which of `count` ticks from offset `start` are new; None when ticks before them are missing.

        Those before offset `oldest` aren't: they are past getting, and the sequence goes on from there.
        """
        expected = max(self.accepted, oldest)
        if start > expected:
            return None
        known = min(expected - start, count)
        self.accepted = max(expected, start + count)
        return slice(known, count)

    def begin(self) -> tuple[int, int]:
        """The range [from, to) a commit carries now."""
        self.flushing = self.accepted
        return self.committed, self.flushing

    def commit(self) -> None:
        """The commit under way was applied."""
        self.committed = self.flushing

    def reset(self, committed: int) -> None:
        """Forget what was taken and not committed; the producer sends it again."""
        self.committed = self.flushing = self.accepted = committed
