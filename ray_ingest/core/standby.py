"""The newest ticks of a feed that doesn't count at present: what it sends first when it is told to."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from ray_ingest.core.gaps import is_note
from ray_ingest.model import TICK

REACH_MS = 60_000


class StandbyRing:
    """TICK rows of one partition with the times (epoch ms) they were received at: those of the last
    `reach_ms`, and at most `capacity` of them, the newest."""

    def __init__(self, capacity: int, reach_ms: int = REACH_MS) -> None:
        self._capacity = capacity
        self._reach_ms = reach_ms
        self._blocks: deque[tuple[int, npt.NDArray[np.void]]] = deque()
        self._held = 0

    def __len__(self) -> int:
        """Rows held."""
        return self._held

    def add(self, ticks: npt.NDArray[np.void], received_ms: int) -> None:
        """The next ticks; `received_ms` never falls. The array is kept, not copied."""
        if len(ticks):
            self._blocks.append((received_ms, ticks))
            self._held += len(ticks)
        self._forget(received_ms)

    def take(self, now_ms: int, keep_ms: int, since_ms: int) -> npt.NDArray[np.void]:
        """What is to be sent, in order, when ticks with event times up to `since_ms` (epoch ms) were counted
        by others; the ring is empty then.

        That is what was received within `keep_ms`, or since `since_ms` if that is earlier: with a cumulative
        volume, counting a trade again changes nothing. Ticks without one only if they are newer than that.
        """
        self._forget(now_ms)
        blocks, self._blocks, self._held = self._blocks, deque(), 0
        if not blocks:
            return np.zeros(0, TICK)
        ticks = np.concatenate([ticks for _, ticks in blocks])
        received_ms = np.repeat([received for received, _ in blocks], [len(ticks) for _, ticks in blocks])
        recent = received_ms >= min(now_ms - keep_ms, since_ms)
        newer = ticks["event_time_ms"] > since_ms
        counted_once = (ticks["day_volume"] < 0) & ~is_note(ticks)
        return ticks[newer | (recent & ~counted_once)]

    def _forget(self, now_ms: int) -> None:
        blocks = self._blocks
        while blocks and blocks[0][0] < now_ms - self._reach_ms:
            self._held -= len(blocks.popleft()[1])
        while self._held > self._capacity:
            received_ms, ticks = blocks.popleft()
            excess = min(self._held - self._capacity, len(ticks))
            self._held -= excess
            if excess < len(ticks):
                blocks.appendleft((received_ms, ticks[excess:]))
