"""Whether a feed's ticks count: told on the actor's thread, heeded on the pump's."""

from __future__ import annotations

import threading
from collections import deque

from ray_ingest.core.failover import CountedUntil

HEED_S = 0.2


class Duty:
    """What the feed is to do, and what it has counted; times are epoch ms, 0 is never.

    `counts` is what it does now; `wanted` what it was told last: whether to, and how far others did.
    `counted` is how far its ticks were: event times not beyond the wall clock, receipt in quiet times up to
    when it has certainly missed nothing; `heard_before_ms` is until when those were received that had been
    counted when the connection that is well since `well_since_ms` became so, or, whichever feed's, when its
    own began to count.
    """

    def __init__(self, counts: bool) -> None:
        self.counts = counts
        self.well_since_ms = 0
        self.counted = CountedUntil()
        self.heard_before_ms = 0
        self.wanted = (counts, CountedUntil())
        self._heeded = threading.Event()
        self._gaps: deque[tuple[int, int]] = deque()
        self._noted_until_ms = 0

    def tell(self, counts: bool, others: CountedUntil) -> CountedUntil:
        """Count from now on, `others` having counted so far; or count no more: then `counted`, which is
        returned, goes no further, if the pump can be reached."""
        self._heeded.clear()
        self.wanted = (counts, others)
        if not counts and self.counts:
            self._heeded.wait(HEED_S)
        return self.counted

    def tell_gap(self, from_ms: int, to_ms: int) -> None:
        """Nobody who counted was well between these times; said again it is noted once."""
        self._gaps.append((from_ms, to_ms))

    def resumed(self, well_since_ms: int) -> None:
        """The connection is well again; every tick that came before it was and counts is in the sequence."""
        self.heard_before_ms, self.well_since_ms = self.counted.heard_ms, well_since_ms

    def next_gap(self) -> tuple[int, int] | None:
        """One to be noted, of those told and not noted yet."""
        while self._gaps:
            from_ms, to_ms = self._gaps.popleft()
            if to_ms > self._noted_until_ms:
                self._noted_until_ms = to_ms
                self.heard_before_ms = max(self.heard_before_ms, to_ms)
                return from_ms, to_ms
        return None

    def heeded(self, counts: bool, others: CountedUntil) -> None:
        """It does so now."""
        if counts and not self.counts:
            self.heard_before_ms = max(self.heard_before_ms, others.heard_ms)
        self.counts = counts
        if (counts, others) == self.wanted:
            self._heeded.set()
