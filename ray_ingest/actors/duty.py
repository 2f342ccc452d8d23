"""Whether a feed's ticks count: told on the actor's thread, heeded on the pump's."""

from __future__ import annotations

import threading
from collections import deque

HEED_S = 0.2


class Duty:
    """What the feed is to do, and what it has counted; times are epoch ms, 0 is never.

    `counts` is what it does now; `wanted` what it was told last: whether to, and up to when others did.
    `sent_until_ms` is the newest event time in its sequence, or the wall clock where that is behind, and in
    quiet times up to when it has certainly missed nothing; `sent_before_ms` is what that was when the
    connection that is well since `well_since_ms` became so, or when its ticks began to count.
    """

    def __init__(self, counts: bool) -> None:
        self.counts = counts
        self.well_since_ms = 0
        self.sent_until_ms = 0
        self.sent_before_ms = 0
        self.wanted = (counts, 0)
        self._heeded = threading.Event()
        self._gaps: deque[tuple[int, int]] = deque()
        self._noted_until_ms = 0

    def tell(self, counts: bool, since_ms: int) -> int:
        """Count from now on, others having counted up to `since_ms`; or count no more: then nothing is added
        to the sequence once this returns, if the pump can be reached. Returns `sent_until_ms`."""
        self._heeded.clear()
        self.wanted = (counts, since_ms)
        if not counts and self.counts:
            self._heeded.wait(HEED_S)
        return self.sent_until_ms

    def tell_gap(self, from_ms: int, to_ms: int) -> None:
        """Nobody who counted was well between these times; said again it is noted once."""
        self._gaps.append((from_ms, to_ms))

    def resumed(self, well_since_ms: int) -> None:
        """The connection is well again; every tick that came before it was is in the sequence."""
        self.sent_before_ms, self.well_since_ms = self.sent_until_ms, well_since_ms

    def next_gap(self) -> tuple[int, int] | None:
        """One to be noted, of those told and not noted yet."""
        while self._gaps:
            from_ms, to_ms = self._gaps.popleft()
            if to_ms > self._noted_until_ms:
                self._noted_until_ms = to_ms
                self.sent_before_ms = max(self.sent_before_ms, to_ms)
                return from_ms, to_ms
        return None

    def heeded(self, counts: bool, since_ms: int) -> None:
        """It does so now."""
        if counts and not self.counts:
            self.sent_before_ms = max(self.sent_before_ms, since_ms)
        self.counts = counts
        if (counts, since_ms) == self.wanted:
            self._heeded.set()
