"""Between the thread that receives ticks and the one that sends them: bounded, O(1), never waiting."""

from __future__ import annotations

from collections import deque

from ray_ingest.model import TickColumns


class TickBuffer:
    """Blocks of raw ticks, oldest first, `capacity` ticks at most. One thread puts, one takes.

    Appending to and popping from a deque are atomic, so no lock is needed: each counter has one writer.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._blocks: deque[tuple[TickColumns, float]] = deque()
        self._put = 0
        self._taken = 0

    def __len__(self) -> int:
        """Ticks held; asked while other threads put and take, perhaps some more, never fewer."""
        taken = self._taken
        return self._put - taken

    def put(self, block: TickColumns, received_s: float) -> bool:
        """Take a block, received at `received_s` by the caller's clock, if there is room for all of it; an
        empty buffer takes a block of any size."""
        if len(self) and len(self) + len(block) > self.capacity:
            return False
        self._put += len(block)  # first: its reader may take the block before this method returns
        self._blocks.append((block, received_s))
        return True

    def take(self) -> tuple[TickColumns, float] | None:
        """The oldest block and when it was received, None when there is none."""
        if not self._blocks:
            return None
        block, received_s = self._blocks.popleft()
        self._taken += len(block)
        return block, received_s
