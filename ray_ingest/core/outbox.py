"""A producer's ticks of one partition from the moment they exist until the store has committed them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ray_ingest.model import TICK

CHUNK_TICKS = 65_536
HELD_TICKS = 500_000

Read = Callable[[int, int], npt.NDArray[np.void]]
"""From a journal, (offset, limit): 1 to `limit` TICK rows from that offset on."""


class Outbox:
    """Ticks by offset, kept until committed; pure bookkeeping, no sending.

    It keeps ``committed <= cursor <= end``: ticks below `committed` are done with, those below `cursor` are
    sent, those below `end` are known.

    With a journal to `read` from, memory is a window over it: at most `capacity` ticks and a chunk are held,
    what is beyond is read when its turn comes, and so is what was let go when the store goes back. Without
    one everything uncommitted is held; a source that starts again from its first tick then appends it all
    once more, and what lies below `committed` is dropped at once.
    """

    def __init__(
        self, committed: int = 0, end: int = 0, read: Read | None = None, capacity: int = HELD_TICKS
    ) -> None:
        self.committed = committed
        self.cursor = committed
        self.end = end
        self._read = read
        self._capacity = capacity
        self._blocks: deque[tuple[int, npt.NDArray[np.void]]] = deque()
        self._held_end = committed  # of the blocks, which follow one another without a hole
        self._at = 0  # index of the block the cursor is in

    def __len__(self) -> int:
        """Ticks known and not committed, in memory or not."""
        return max(0, self.end - self.committed)

    @property
    def unsent(self) -> int:
        """Ticks known and not sent."""
        return max(0, self.end - self.cursor)

    @property
    def held(self) -> int:
        """Ticks in memory."""
        return self._held_end - self._blocks[0][0] if self._blocks else 0

    def append(self, ticks: npt.NDArray[np.void]) -> None:
        """Take the next ticks (TICK rows) of the sequence, journaled already if there is a journal; the array
        is kept, not copied."""
        start, self.end = self.end, self.end + len(ticks)
        if self._read is not None and (self._held_end != start or self.held + len(ticks) > self._capacity):
            return
        known = self.committed - start
        if known < len(ticks):
            self._blocks.append((max(start, self.committed), ticks[max(known, 0) :]))
            self._held_end = self.end

    def take(self, limit: int) -> tuple[int, npt.NDArray[np.void]]:
        """The next unsent ticks, `limit` at most, and the offset of the first; moves the cursor past them.
        None come only when there are none."""
        if self._read is not None and limit > 0 and self.cursor < self.end and not self._is_held():
            self._hold_from(self.cursor, self._read(self.cursor, CHUNK_TICKS))
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
        self._held_end = max(self._held_end, committed)
        if self.cursor < committed:
            self.rewind(committed)

    def rewind(self, committed: int) -> None:
        """Send again from `committed` on, which the store says is where it stands.

        Raises ValueError when ticks are asked for that were let go, and there is no journal.
        """
        if committed < self.committed:
            if self._read is None:
                raise ValueError(f"offset {committed} is gone: ticks are held from {self.committed} on")
            self.committed = committed
            self._hold_from(committed, np.zeros(0, TICK))
        self.acknowledge(committed)
        self.cursor = committed
        self._at = 0
        for first, block in self._blocks:
            if committed < first + len(block):
                break
            self._at += 1

    def _is_held(self) -> bool:
        return bool(self._blocks) and self._blocks[0][0] <= self.cursor < self._held_end

    def _hold_from(self, offset: int, ticks: npt.NDArray[np.void]) -> None:
        """Hold these ticks and no others."""
        self._blocks = deque([(offset, ticks)] if len(ticks) else [])
        self._held_end = offset + len(ticks)
        self._at = 0
