"""Ticks known to be missing, as rows of a producer's sequence: a gap is noted exactly once, like a tick."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ray_ingest.model import ALL_INSTRUMENTS, GAP_NOTE, MINUTE_MS, TICK, GapReason, TickColumns


def gap_notes(
    instrument: Sequence[int] | npt.NDArray[np.int64],
    from_ms: Sequence[int] | npt.NDArray[np.int64],
    to_ms: Sequence[int] | npt.NDArray[np.int64],
    missing: Sequence[int] | npt.NDArray[np.int64],
    reason: GapReason,
) -> npt.NDArray[np.void]:
    """n notes (TICK rows with `GAP_NOTE`) of n instruments, event times (epoch ms, both included) and numbers
    of missing ticks (-1: not known)."""
    notes = np.zeros(len(from_ms), TICK)
    notes["instrument"], notes["event_time_ms"], notes["last_qty"] = instrument, from_ms, to_ms
    notes["day_volume"], notes["oi"], notes["flags"] = reason, missing, GAP_NOTE
    return notes


def gap_of_all(from_ms: int, to_ms: int, reason: GapReason) -> npt.NDArray[np.void]:
    """One note: of all of a producer's instruments, from `from_ms` to `to_ms` (epoch ms)."""
    return gap_notes([ALL_INSTRUMENTS], [from_ms], [to_ms], [-1], reason)


def narrowed(notes: npt.NDArray[np.void], instruments: npt.NDArray[np.uint32]) -> npt.NDArray[np.void]:
    """Notes of all instruments as those of each of these ids; order by note, then id."""
    each = np.repeat(notes, len(instruments))
    each["instrument"] = np.tile(instruments, len(notes))
    return each


def is_note(ticks: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """A mask over TICK rows: which are gap notes."""
    return (ticks["flags"] & GAP_NOTE).astype(np.bool_)


class LostTicks:
    """Raw ticks that had to be dropped, by instrument and minute: bounded however many they are.

    `total` of them since the beginning, `waiting` not drained yet; to be read while another thread adds.
    """

    def __init__(self) -> None:
        self.total = 0
        self.waiting = 0
        self._lost: dict[tuple[int, int], tuple[int, int, int]] = {}

    def add(self, columns: TickColumns) -> None:
        """These are dropped."""
        self.total += len(columns)
        self.waiting += len(columns)
        time_ms = columns.event_time_ms
        places = np.stack((columns.instrument.astype(np.int64), time_ms // MINUTE_MS))
        places, of_tick, numbers = np.unique(places, axis=1, return_inverse=True, return_counts=True)
        first_ms = np.full(len(numbers), np.iinfo(np.int64).max)
        last_ms = np.full(len(numbers), np.iinfo(np.int64).min)
        np.minimum.at(first_ms, of_tick, time_ms)
        np.maximum.at(last_ms, of_tick, time_ms)
        for instrument, minute, first, last, number in zip(
            *places.tolist(), first_ms.tolist(), last_ms.tolist(), numbers.tolist(), strict=True
        ):
            place = (instrument, minute)
            known_first, known_last, before = self._lost.get(place, (first, last, 0))
            self._lost[place] = min(known_first, first), max(known_last, last), before + number

    def drain(self) -> npt.NDArray[np.void]:
        """One note for each instrument and minute, and start afresh."""
        lost, self._lost, self.waiting = self._lost, {}, 0
        places = sorted(lost)
        spans = np.array([lost[place] for place in places], np.int64).reshape(-1, 3)
        return gap_notes(
            [instrument for instrument, _ in places],
            spans[:, 0],
            spans[:, 1],
            spans[:, 2],
            GapReason.OVERFLOW,
        )
