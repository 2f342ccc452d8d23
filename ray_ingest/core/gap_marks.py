"""What gap notes mean for the store: the minutes whose candles they touch, and intervals to record."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ray_ingest.core.calendar import DAY_MS, Calendar
from ray_ingest.core.directory import Directory, ProducerNames
from ray_ingest.model import (
    ALL_INSTRUMENTS,
    DAY_MINUTES,
    IST_OFFSET_MS,
    MINUTE_MS,
    ROW,
    GapReason,
    Phase,
)

GAP_MARK = 2
_REASONS = {reason.value: reason.label for reason in GapReason}


class Gap(NamedTuple):
    """An interval in which ticks of a producer are known to be missing: first and last event time (epoch ms),
    why, the instrument as its feed wrote it ("" for all of the producer's in the partition), and how many
    (-1: not known)."""

    producer: str
    from_ms: int
    to_ms: int
    reason: str
    instrument: str
    missing: int


class GapMarks:
    """Marks and intervals of gap notes taken and in no commit yet: a minute is marked once, and an interval
    recorded once, however many notes say so."""

    def __init__(self, directory: Directory, calendar: Calendar) -> None:
        self._directory = directory
        self._calendar = calendar
        self._marked: dict[tuple[int, int, int], int] = {}
        self._gaps: dict[Gap, None] = {}

    @property
    def gaps(self) -> list[Gap]:
        """The intervals to record, in the order in which they were first told."""
        return list(self._gaps)

    def take(self, producer: str, names: ProducerNames, notes: npt.NDArray[np.void]) -> None:
        """More notes (TICK rows with `GAP_NOTE`) of one producer.

        Each touches the first and the last minute of its interval that is in a session phase, of each
        instrument concerned: no tick arrived in the minutes between, so nothing there is half a candle. An
        interval outside all sessions, such as a night, is no gap. Each row that a journal has lost is read as
        the same note, so there may be any number of it.
        """
        directory = self._directory
        all_own = np.unique(names.number)
        all_own = all_own[directory.own[all_own] & (directory.fault[all_own] == 0)]
        phases: dict[tuple[int, int], npt.NDArray[np.uint8]] = {}
        told = notes[["instrument", "event_time_ms", "last_qty", "day_volume", "oi"]].tolist()
        for number, first_ms, last_ms, code, missing in dict.fromkeys(told):
            to_all = number == ALL_INSTRUMENTS
            concerned = all_own if to_all else names.number[number : number + 1]
            if not to_all and directory.fault[concerned].any():
                concerned = concerned[:0]
            name = "" if to_all else directory.instruments[int(names.number[number])].name
            classes = directory.class_index[concerned]
            missed = not len(concerned)  # of instruments this owner hasn't heard of yet
            for class_index in np.unique(classes).tolist():
                for day, minute, phase in self._edges(class_index, first_ms, last_ms, phases):
                    missed = True
                    for instrument in concerned[classes == class_index].tolist():
                        self._marked[instrument, day, minute] = phase
            if missed:
                reason = _REASONS.get(code, str(code))
                self._gaps[Gap(producer, first_ms, last_ms, reason, name, missing)] = None

    def rows(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.void]]:
        """The marks as instrument numbers, IST days, and `ROW` rows; in no particular order."""
        rows = np.zeros(len(self._marked), ROW)
        places = np.array(list(self._marked), np.int64).reshape(-1, 3)
        rows["minute"], rows["phase"], rows["kind"] = places[:, 2], list(self._marked.values()), GAP_MARK
        return places[:, 0], places[:, 1], rows

    def _edges(
        self,
        class_index: int,
        first_ms: int,
        last_ms: int,
        phases: dict[tuple[int, int], npt.NDArray[np.uint8]],
    ) -> list[tuple[int, int, int]]:
        """(day, minute of the day, phase) of the first and last minute of the interval in a session."""
        first, last = ((time_ms + IST_OFFSET_MS) // MINUTE_MS for time_ms in (first_ms, last_ms))
        calendar = self._calendar
        days = range(
            max(first // DAY_MINUTES, calendar.first_day), min(last // DAY_MINUTES, calendar.last_day) + 1
        )
        edges = []
        for ordered, which in ((days, 0), (reversed(days), -1)):
            for day in ordered:
                if not calendar.is_session(class_index, day):
                    continue
                if (class_index, day) not in phases:
                    phases[class_index, day] = self._phases_of(class_index, day)
                own = phases[class_index, day]
                minutes = np.flatnonzero(own != Phase.NONE)
                number = day * DAY_MINUTES + minutes
                minutes = minutes[(number >= first) & (number <= last)]
                if len(minutes):
                    edges.append((day, int(minutes[which]), int(own[minutes[which]])))
                    break
        return edges

    def _phases_of(self, class_index: int, day: int) -> npt.NDArray[np.uint8]:
        starts = day * DAY_MS - IST_OFFSET_MS + MINUTE_MS * np.arange(DAY_MINUTES, dtype=np.int64)
        return self._calendar.locate(np.full(DAY_MINUTES, class_index, np.uint8), starts)[0]
