"""Brokers send the same trade again whenever the order book moves: a repeat is dropped once, here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ray_ingest.core.order import stable_order


class RepeatFilter:
    """Finds ticks equal in (time, cumulative volume) to the previous one of their instrument.

    One filter serves one producer; its ids are the producer's instrument ids. Without cumulative volume
    nothing is a repeat: two equal trades of a tape are two trades.
    """

    def __init__(self) -> None:
        self._time_ms: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._volume: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def fresh(self, ticks: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """A mask over `ticks` (TICK rows in arrival order): True for those that are no repeat."""
        if not len(ticks):
            return np.zeros(0, np.bool_)
        ids = ticks["instrument"]
        self._grow(int(ids.max()) + 1)
        order = stable_order(ids)
        sorted_ids, time_ms, volume = ids[order], ticks["event_time_ms"][order], ticks["day_volume"][order]
        first = np.empty(len(ids), np.bool_)
        first[0] = True
        np.not_equal(sorted_ids[1:], sorted_ids[:-1], out=first[1:])
        firsts = np.flatnonzero(first)
        first_ids = sorted_ids[firsts]
        repeat = np.empty(len(ids), np.bool_)
        repeat[1:] = (time_ms[1:] == time_ms[:-1]) & (volume[1:] == volume[:-1])
        repeat[firsts] = (time_ms[firsts] == self._time_ms[first_ids]) & (
            volume[firsts] == self._volume[first_ids]
        )
        repeat &= volume >= 0
        lasts = np.append(firsts[1:], len(ids)) - 1
        self._time_ms[first_ids] = time_ms[lasts]
        self._volume[first_ids] = volume[lasts]
        fresh = np.empty(len(ids), np.bool_)
        fresh[order] = ~repeat
        return fresh

    def _grow(self, size: int) -> None:
        missing = size - len(self._time_ms)
        if missing > 0:
            room = max(missing, len(self._time_ms))
            self._time_ms = np.append(self._time_ms, np.full(room, -1, np.int64))
            self._volume = np.append(self._volume, np.full(room, -1, np.int64))
