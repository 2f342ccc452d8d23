"""The last candles a reader saw, for while the store is down."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from ray_ingest.candles.reader import SlotOf
from ray_ingest.store.records import Candle


class LastSeen:
    """The newest candle read of each name and kind (which `SlotOf` chose it); the longest unread ones go
    first when there are more than `capacity`."""

    CAPACITY = 50_000

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[tuple[SlotOf, str], tuple[Candle | None, float]] = OrderedDict()

    def remember(self, slot_of: SlotOf, names: Sequence[str], candles: Sequence[Candle | None]) -> None:
        """These were read just now, one a name."""
        now_s = time.monotonic()
        for name, candle in zip(names, candles, strict=True):
            self._seen[slot_of, name] = candle, now_s
            self._seen.move_to_end((slot_of, name))
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)

    def recall(self, slot_of: SlotOf, names: Sequence[str]) -> list[Candle | None] | None:
        """What was read last, one a name, with its age; None unless all of them were read."""
        if not all((slot_of, name) in self._seen for name in names):
            return None
        now_s = time.monotonic()
        found = [self._seen[slot_of, name] for name in names]
        return [candle and replace(candle, stale_s=now_s - read_s) for candle, read_s in found]
