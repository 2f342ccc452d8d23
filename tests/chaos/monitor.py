"""What is committed while a run goes, seen from outside it: how long each fault kept it from advancing."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from itertools import pairwise

from redis.exceptions import RedisError

from tests.chaos.stores import Store

POLL_S = 0.02
ONSET_S = 1.0
"""A stall that begins within so long after a fault is its doing."""


class Monitor:
    """Polls every partition's committed offsets in a thread of its own."""

    def __init__(self, store: Store, partitions: int) -> None:
        self._store = store
        self._partitions = partitions
        self._advances: dict[tuple[int, str], list[float]] = {}
        self._last: dict[tuple[int, str], int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)
        self._thread.start()

    def committed(self) -> int:
        """Ticks committed as last seen, of all producers."""
        return sum(self._last.copy().values())

    def close(self) -> None:
        """Stop polling."""
        self._over.set()
        self._thread.join()

    def recovery_s(self, injected_s: float) -> float:
        """Seconds from a fault (monotonic clock) to when every producer that it held up advanced again."""
        longest = 0.0
        for times in self._advances.values():
            # A producer that had committed nothing yet was held up from the fault on.
            known = times if times[0] <= injected_s else [injected_s, *times]
            for before, after in pairwise(known):
                if before <= injected_s + ONSET_S and after > injected_s:
                    longest = max(longest, after - injected_s) if after - before > 2 * POLL_S else longest
        return longest

    def _watch(self) -> None:
        while not self._over.wait(POLL_S):
            # A store that is down, loading or frozen simply shows no advance.
            with suppress(RedisError, OSError), self._store.client() as client:
                client.connection_pool.connection_kwargs["socket_timeout"] = 0.5
                for partition in range(self._partitions):
                    for field, value in client.hgetall(f"ray_ingest:meta:{partition}").items():
                        if field.startswith(b"offset:"):
                            self._see((partition, field.decode()), int(value))

    def _see(self, place: tuple[int, str], offset: int) -> None:
        if offset > self._last.get(place, 0):
            self._advances.setdefault(place, []).append(time.monotonic())
        self._last[place] = offset
