"""A producer's ticks of one partition from the moment they exist until the store has committed them."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from ray_ingest.model import TICK


class Outbox:
    """Ticks by offset, kept until committed; pure bookkeeping, no sending.

    It keeps ``committed <= cursor <= end``: ticks below `committed` are forgotten, those below `cursor` are
    sent, those below `end` are known. A source that starts again from its first tick appends everything once
    more; what lies below `committed` then is dropped at once.
    """

    def __init__(self, committed: int = 0) -> None:
        self.committed = committed
        self.cursor = committed
        self.end = 0
        self._blocks: deque[tuple[int, npt.NDArray[np.void]]] = deque()
        self._at = 0  # index of the block the cursor is in

    def __len__(self) -> int:
        """Ticks held: known and not committed."""
        return max(0, self.end - self.committed)

    @property
    def unsent(self) -> int:
        """Ticks known and not sent."""
        return max(0, self.end - self.cursor)

    def append(self, ticks: npt.NDArray[np.void]) -> None:
        """Take the next ticks (TICK rows) of the sequence; the array is kept, not copied."""
        start, self.end = self.end, self.end + len(ticks)
        known = self.committed - start
        if known < len(ticks):
            self._blocks.append((max(start, self.committed), ticks[max(known, 0) :]))

    def take(self, limit: int) -> tuple[int, npt.NDArray[np.void]]:
        """The next unsent ticks, `limit` at most, and the offset of the first; moves the cursor past them."""
        start, parts, room = self.cursor, [], limit
        while room > 0 and self._at < len(self._blocks):
            first, block = self._blocks[self._at]
            part = block[self.cursor - first : self.cursor - first + room]
            parts.append(part)
            room -= len(part)
            self.cursor += len(part)
            if self.cursor == first + len(block):
                self._at += 1
        if len(parts) == 1:
            return start, parts[0]
        return start, np.concatenate(parts) if parts else np.zeros(0, TICK)

    def acknowledge(self, committed: int) -> None:
        """Forget everything below `committed`; a lower number than before changes nothing."""
        if committed <= self.committed:
            return
        self.committed = committed
        while self._blocks and self._blocks[0][0] + len(self._blocks[0][1]) <= committed:
            self._blocks.popleft()
            self._at -= 1
        self._at = max(self._at, 0)
        if self.cursor < committed:
            self.rewind(committed)

    def rewind(self, committed: int) -> None:
        """Send again from `committed` on, which the store says is where it stands.

        Raises ValueError when ticks below what is still held are asked for.
        """
        if committed < self.committed:
            raise ValueError(f"offset {committed} is gone: ticks are held from {self.committed} on")
        self.acknowledge(committed)
        self.cursor = committed
        self._at = 0
        for first, block in self._blocks:
            if committed < first + len(block):
                break
            self._at += 1
