"""Which phase of which session day a tick belongs to: one table look-up a tick, for any number of days.

A day's shape of one class (1,440 phases) recurs on most days, so the few distinct shapes are kept once and
every (class, day) holds the number of its shape. All of it is built when the calendar is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ray_ingest.core.instruments import sanitise
from ray_ingest.core.sessions import ANY_EXCHANGE, CalendarTable, Windows
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, Phase

UNKNOWN = 255
"""Class index of an exchange the calendar has no segment for; its ticks are outside any phase."""

ASSUMED_DAYS = 3_653
"""How far past the holiday data plain weekdays are assumed: ten years; later times are absurd."""

DAY_MS = DAY_MINUTES * MINUTE_MS

Shape = npt.NDArray[np.uint8]

_WIDTH = np.zeros(len(Phase), np.uint8)
_WIDTH[[Phase.POST_CLOSE, Phase.PRE_OPEN, Phase.CLOSING_AUCTION, Phase.REGULAR]] = 1, 2, 3, 4


class Calendar:
    """Phases by class and minute.

    Attributes:
        table: the data it was built from.
        first_day, last_day: the days it knows, since 1970-01-01, both included; none has a phase outside.
        candle_mask: bool[5] by phase: whether its ticks make candles.
        expires_daily: whether keys expire at 09:00 of the next session day.
    """

    def __init__(self, table: CalendarTable) -> None:
        self.table = table
        self.first_day = table.first_day
        self.last_day = table.last_day + (ASSUMED_DAYS if table.assume_weekdays_after else 0)
        self.expires_daily = table.expiry_segment is not None
        self.candle_mask = np.zeros(len(Phase), np.bool_)
        self.candle_mask[list(table.candle_phases)] = True

        shapes = _Shapes()
        days = np.arange(self.first_day, self.last_day + 1)
        rows: dict[tuple[str, ...], npt.NDArray[np.int64]] = {
            (name,): _shape_numbers(table, name, days, shapes) for name in table.classes
        }
        for classes in table.segments.values():
            if classes not in rows:
                rows[classes] = shapes.widest([rows[(name,)] for name in classes])
        self._index = {classes: index for index, classes in enumerate(rows)}
        # One more row for UNKNOWN, and an empty day on either side to which all other times are clipped.
        self._shape = np.pad(np.array(list(rows.values()), np.int64), ((0, 1), (1, 1)))
        self._row = np.full(UNKNOWN + 1, len(rows), np.int64)
        self._row[: len(rows)] = np.arange(len(rows))
        self._phases = np.concatenate(shapes.all)
        self._spans = [_span(shape) for shape in shapes.all]

        counted = [rows[classes] for name, classes in table.segments.items() if self._expires_with(name)]
        self._session_days = days[np.any(np.array(counted) != 0, axis=0)]

    def _expires_with(self, segment: str) -> bool:
        return self.table.expiry_segment in (None, segment)

    def classify(self, exchange: str, token: str) -> tuple[int, bool]:
        """The instrument's class index (< 256), and whether that is its very class.

        False: the calendar can't tell, and the index is that of its segment's widest phases, or UNKNOWN.
        """
        segments = self.table.segments
        classes = segments.get(exchange.upper()) or segments.get(ANY_EXCHANGE)
        if classes is None:
            return UNKNOWN, False
        if len(classes) == 1:
            return self._index[classes], True
        if not self.table.fno_stocks:
            return self._index[classes], False
        other = sanitise(token) not in self.table.fno_stocks
        return self._index[(classes[other],)], True

    def locate(
        self, classes: npt.NDArray[np.uint8], event_time_ms: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Phase, day since 1970-01-01 and minute of the day, both in IST, of n ticks; phase 0 is outside any.

        `classes` are indexes from `classify`, n of them; any `event_time_ms` is allowed.
        """
        if len(event_time_ms):
            day = (int(event_time_ms.min()) + IST_OFFSET_MS) // DAY_MS
            last = (int(event_time_ms.max()) + IST_OFFSET_MS) // DAY_MS
            if day == last and self.first_day <= day <= self.last_day:
                return self._locate_within(day, classes, event_time_ms)
        minutes = (event_time_ms + IST_OFFSET_MS) // MINUTE_MS
        days = minutes // DAY_MINUTES
        minute = minutes - days * DAY_MINUTES
        column = np.clip(days, self.first_day - 1, self.last_day + 1) - (self.first_day - 1)
        shape = self._shape[self._row[classes], column]
        return self._phases[shape * DAY_MINUTES + minute], days, minute

    def _locate_within(
        self, day: int, classes: npt.NDArray[np.uint8], event_time_ms: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """`locate` for ticks of one day, as nearly all batches are: several times faster."""
        since_midnight = (event_time_ms - (day * DAY_MS - IST_OFFSET_MS)).astype(np.uint32)
        minute = (since_midnight // np.uint32(MINUTE_MS)).astype(np.int64)
        shape_of_class = self._shape[self._row, self._column(day)]
        phase = self._phases[(shape_of_class * DAY_MINUTES)[classes] + minute]
        return phase, np.full(len(minute), day, np.int64), minute

    def is_session(self, class_index: int, day: int) -> bool:
        """Whether the class has any phase on the day."""
        return self._shape_of(class_index, day) != 0

    def span(self, class_index: int, day: int) -> tuple[int, int]:
        """First minute of the class's first phase that day, and the number of minutes to its last one's end.

        (0, 0) without a session.
        """
        return self._spans[self._shape_of(class_index, day)]

    def next_session_day(self, day: int) -> int:
        """The first session day after `day`: of the segment keys expire with, or else of any class.

        Past the calendar's last day it is the next day.
        """
        later = int(np.searchsorted(self._session_days, day, side="right"))
        return int(self._session_days[later]) if later < len(self._session_days) else day + 1

    def _shape_of(self, class_index: int, day: int) -> int:
        return int(self._shape[self._row[class_index], self._column(day)])

    def _column(self, day: int) -> int:
        """Where `day` is in `_shape`; both ends are days without a session."""
        return min(max(day, self.first_day - 1), self.last_day + 1) - (self.first_day - 1)


class _Shapes:
    """The distinct day shapes, uint8[1440] of phases each; number 0 is a day without a session."""

    def __init__(self) -> None:
        self.all: list[Shape] = []
        self._numbers: dict[bytes, int] = {}
        self.number(np.zeros(DAY_MINUTES, np.uint8))

    def number(self, shape: Shape) -> int:
        known = self._numbers.setdefault(shape.tobytes(), len(self.all))
        if known == len(self.all):
            self.all.append(shape)
        return known

    def of(self, windows: Windows) -> int:
        shape = np.zeros(DAY_MINUTES, np.uint8)
        for window in windows:
            shape[window.start : window.end] = window.phase
        return self.number(shape)

    def widest(self, rows: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        """Shape numbers by day that give each minute the widest of the phases these rows give it."""
        together, where = np.unique(np.array(rows), axis=1, return_inverse=True)
        numbers = [self._widest([self.all[number] for number in column]) for column in together.T]
        return np.array(numbers, np.int64)[where]

    def _widest(self, shapes: Sequence[Shape]) -> int:
        stack = np.array(shapes)
        widest = _WIDTH[stack].argmax(axis=0)
        return self.number(np.take_along_axis(stack, widest[np.newaxis], axis=0)[0])


def _shape_numbers(
    table: CalendarTable, name: str, days: npt.NDArray[np.int64], shapes: _Shapes
) -> npt.NDArray[np.int64]:
    """The class's shape number on each of the consecutive `days`."""
    usual = np.zeros(len(days), np.int64)
    for since, windows in table.classes[name]:
        usual[days >= since] = shapes.of(windows)
    numbers = usual.copy()
    if not table.every_day:
        numbers[(days + 3) % 7 >= 5] = 0  # 1970-01-01 was a Thursday: Monday is 0
    numbers[np.isin(days, list(table.holidays[name]))] = 0
    for day, special in table.specials[name].items():
        here = days == day
        numbers[here] = usual[here] if special is None else shapes.of(special)
    return numbers


def _span(shape: Shape) -> tuple[int, int]:
    used = np.flatnonzero(shape)
    return (int(used[0]), int(used[-1] - used[0] + 1)) if len(used) else (0, 0)
