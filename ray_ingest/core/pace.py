"""When an owner commits: soon while there is little to do, seldom while ticks pile up."""

from __future__ import annotations

LONGEST_PAUSE_S = 0.25


class FlushPace:
    """Times (seconds of any one clock) from which the next commit may begin.

    At least `interval_s` after the one before began. With a backlog at its producers (`bulk`) commits also
    keep the store busy for no more than the share `duty` of the time, so that more ticks share a row.
    """

    def __init__(self, interval_s: float, duty: float) -> None:
        self._interval_s = interval_s
        self._duty = duty
        self._next_s = 0.0
        self._next_bulk_s = 0.0

    def due(self, now_s: float, bulk: bool) -> bool:
        """Whether a commit may begin."""
        return now_s >= (self._next_bulk_s if bulk else self._next_s)

    def applied(self, began_s: float, now_s: float) -> None:
        """A commit that began at `began_s` was applied."""
        pause_s = min((now_s - began_s) * (1 / self._duty - 1), LONGEST_PAUSE_S)
        self._next_s = began_s + self._interval_s
        self._next_bulk_s = max(now_s + pause_s, self._next_s)
