"""What one commit of a partition will say: rows, minutes to close, and ticks taken without a candle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ray_ingest.core.aggregate import PartialCandles, PlacedTicks, aggregate, combine
from ray_ingest.core.calendar import Calendar
from ray_ingest.core.directory import REASONS, Directory, ProducerNames
from ray_ingest.core.gap_marks import GAP_MARK, Gap, GapMarks
from ray_ingest.core.gaps import is_note
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, ROW, TICK, Phase

CLOSE_ORDER = 1
PASS_TICKS = 65_536
_HOLIDAY, _OUTSIDE = REASONS.index("holiday"), REASONS.index("outside_session")


@dataclass(frozen=True, slots=True)
class Pending:
    """Consecutive ticks and gap notes (TICK rows) of one producer that wait for a commit."""

    producer: str
    names: ProducerNames
    ticks: npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class FlushPlan:
    """k rows ascending by (group, minute, kind), a group's gap marks last, the (instrument number, day) of
    each group, counters to raise in the store (`count:<producer>:` and a reason, a phase or `gap_notes`), the
    number of ticks behind it all, and gaps to record."""

    rows: npt.NDArray[np.void]
    group_instrument: npt.NDArray[np.int64]
    group_day: npt.NDArray[np.int64]
    counters: dict[str, int]
    ticks: int
    gaps: list[Gap]


class Coalescer:
    """Ticks taken and in no commit yet, as partial candles; `samples` holds the first rejected tick of each
    reason in words.

    Ticks are aggregated in passes that stay within the processor's cache, which is several times faster than
    all at once, and the passes are combined when a commit is planned.
    """

    def __init__(self, directory: Directory, calendar: Calendar) -> None:
        self._directory = directory
        self._calendar = calendar
        self.samples: dict[str, str] = {}
        self.clear()

    def __len__(self) -> int:
        """Ticks and gap notes taken."""
        return self._ticks + len(self._gap_marks.gaps)

    def clear(self) -> None:
        """Forget everything taken."""
        self._pending: list[Pending] = []
        self._pending_ticks = self._ticks = 0
        self._parts: list[PartialCandles] = []
        self._counters: Counter[str] = Counter()
        self._gap_marks = GapMarks(self._directory, self._calendar)

    def take(self, pending: Pending) -> None:
        """More ticks, later than those before in their producer's sequence."""
        self._pending.append(pending)
        self._pending_ticks += len(pending.ticks)
        self._ticks += len(pending.ticks)
        if self._pending_ticks >= PASS_TICKS:
            self._aggregate()

    def plan(self, watermark_ms: int) -> FlushPlan:
        """A commit of everything taken, which also closes every minute the watermark has passed. Updates the
        directory's running candles as if it had been applied, and starts afresh. A gap closes nothing and
        runs nothing."""
        self._aggregate()
        partial = combine(self._parts)
        instrument, day, rows = partial.instrument, partial.day, partial.rows
        candles = rows["ticks"] > 0
        minute_number = day * DAY_MINUTES + rows["minute"]
        self._directory.run(instrument[candles], _end_ms(minute_number[candles]))
        due = self._directory.close_due(watermark_ms)
        if len(due.instrument):
            closing = np.zeros(len(due.instrument), ROW)
            number = (due.end_ms + IST_OFFSET_MS) // MINUTE_MS - 1
            closing["minute"] = number % DAY_MINUTES
            closing["kind"] = CLOSE_ORDER
            rows = np.concatenate((rows, closing))
            instrument = np.concatenate((instrument, due.instrument))
            day = np.concatenate((day, number // DAY_MINUTES))
        marks = self._gap_marks.rows()
        if len(marks[0]):
            instrument, day, rows = (
                np.concatenate(both) for both in zip((instrument, day, rows), marks, strict=True)
            )
        if len(due.instrument) or len(marks[0]):
            kind = rows["kind"]
            order = np.lexsort((kind, rows["minute"], kind == GAP_MARK, day, instrument))
            rows, instrument, day = rows[order], instrument[order], day[order]
        first = np.ones(len(rows), np.bool_)
        first[1:] = (instrument[1:] != instrument[:-1]) | (day[1:] != day[:-1])
        rows["group"] = np.cumsum(first) - 1
        plan = FlushPlan(
            rows, instrument[first], day[first], dict(self._counters), self._ticks, self._gap_marks.gaps
        )
        self.clear()
        return plan

    def _aggregate(self) -> None:
        """Turn pending ticks into partial candles, placed in their session; others are counted."""
        placed = [
            self._place(producer, names, self._without_notes(producer, names, ticks))
            for producer, names, ticks in _by_producer(self._pending)
        ]
        self._pending, self._pending_ticks = [], 0
        merged = placed[0] if len(placed) == 1 else _joined(placed)
        self._parts.append(aggregate(merged, self._calendar.candle_mask))

    def _without_notes(
        self, producer: str, names: ProducerNames, ticks: npt.NDArray[np.void]
    ) -> npt.NDArray[np.void]:
        """The ticks among `ticks`; gap notes are kept as marks."""
        if not ticks["flags"].any():
            return ticks
        noted = is_note(ticks)
        number = int(np.count_nonzero(noted))
        self._gap_marks.take(producer, names, ticks[noted])
        self._counters[f"count:{producer}:gap_notes"] += number
        self._ticks -= number
        return ticks[~noted]

    def _place(self, producer: str, names: ProducerNames, ticks: npt.NDArray[np.void]) -> PlacedTicks:
        """Where the ticks of one producer belong; those that belong nowhere are counted and left out."""
        directory = self._directory
        instrument = names.number[ticks["instrument"]]
        classes = directory.class_index[instrument]
        phase, day, minute = self._calendar.locate(classes, ticks["event_time_ms"])
        source = names.source[ticks["instrument"]]
        fault = directory.fault[instrument] if directory.any_fault else np.zeros(len(ticks), np.uint8)
        outside = (phase == Phase.NONE) & (fault == 0)
        if outside.any():
            fault[outside] = _OUTSIDE
            for class_index, number in {*zip(classes[outside].tolist(), day[outside].tolist(), strict=True)}:
                if not self._calendar.is_session(class_index, number):
                    fault[outside & (classes == class_index) & (day == number)] = _HOLIDAY
        _count(self._counters, producer, fault, phase, self._calendar)
        keep = fault == 0
        if keep.all():
            return PlacedTicks(ticks, instrument, day, minute, phase, source)
        self._sample(ticks, instrument, fault)
        return PlacedTicks(ticks[keep], instrument[keep], day[keep], minute[keep], phase[keep], source[keep])

    def _sample(
        self,
        ticks: npt.NDArray[np.void],
        instrument: npt.NDArray[np.int64],
        fault: npt.NDArray[np.uint8],
    ) -> None:
        for code in np.unique(fault[fault > 0]).tolist():
            row = int(np.argmax(fault == code))
            name = self._directory.instruments[int(instrument[row])].name
            tick = ticks[row]
            text = f"{name!r} event_time_ms {tick['event_time_ms']}, last_price {tick['last_price']}"
            self.samples.setdefault(REASONS[code], text)


def _by_producer(pending: list[Pending]) -> list[tuple[str, ProducerNames, npt.NDArray[np.void]]]:
    parts: dict[str, list[Pending]] = {}
    for part in pending:
        parts.setdefault(part.producer, []).append(part)
    return [
        (producer, own[0].names, np.concatenate([p.ticks for p in own])) for producer, own in parts.items()
    ]


def _count(
    counters: Counter[str],
    producer: str,
    fault: npt.NDArray[np.uint8],
    phase: npt.NDArray[np.uint8],
    calendar: Calendar,
) -> None:
    for code, number in enumerate(np.bincount(fault, minlength=len(REASONS)).tolist()):
        if code and number:
            counters[f"count:{producer}:{REASONS[code]}"] += number
    for code, number in enumerate(np.bincount(phase[fault == 0], minlength=len(Phase)).tolist()):
        if number and not calendar.candle_mask[code]:
            counters[f"count:{producer}:{Phase(code).label}"] += number


def _joined(placed: list[PlacedTicks]) -> PlacedTicks:
    if not placed:
        nothing = np.zeros(0, np.int64)
        return PlacedTicks(
            np.zeros(0, TICK), nothing, nothing, nothing, np.zeros(0, np.uint8), np.zeros(0, np.uint16)
        )
    return PlacedTicks(
        *(np.concatenate([getattr(p, name) for p in placed]) for name in PlacedTicks.__slots__)
    )


def _end_ms(minute_number: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return (minute_number + 1) * MINUTE_MS - IST_OFFSET_MS
