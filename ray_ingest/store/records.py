"""Day strings and closed events as they lie in the store, read into numpy, polars and `Candle`.

Pure: bytes in, values out. The layouts are `DAY_HEADER` and `CANDLE` in model.py; who writes them is `lua/`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from ray_ingest.clock import IST
from ray_ingest.errors import StoreError
from ray_ingest.model import (
    CANDLE,
    DAY_HEADER,
    DAY_MAGIC,
    DAY_VERSION,
    MINUTE_MS,
    Flag,
    Phase,
    Source,
    minute_start_ms,
)

_PHASE = pl.Enum([phase.label for phase in Phase])
_PHASES = pl.Series("phase", _PHASE.categories, dtype=_PHASE)

FRAME_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "timestamp": pl.Datetime("ms", IST.key),
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Int64,
    "oi": pl.Int64,
    "ticks": pl.UInt32,
    "phase": _PHASE,
    "source": pl.String,
    "final": pl.Boolean,
}
"""Columns of `candle_frame`; `timestamp` is the candle's start, `volume` and `oi` may be null."""

_EVENT = struct.Struct("<IHH")
_WHOLE = np.dtype((np.void, CANDLE.itemsize))  # numpy copies structured records field by field, these at once


@dataclass(frozen=True, slots=True)
class Candle:
    """One minute of one instrument.

    `timestamp` is its start in Asia/Kolkata; `volume` is null for an index, `oi` where the feed has none.
    `source` names who contributed ("upstox+fyers"); `gap` says that ticks of this minute are known to be
    missing; (instrument, timestamp, revision) identifies a state of it. `stale_s` is how many seconds ago it
    was read, when the store could not be asked; 0.0 is now.
    """

    instrument: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int | None
    oi: int | None
    ticks: int
    phase: str
    source: str
    final: bool
    gap: bool
    revision: int
    stale_s: float = 0.0


class DayHeader(NamedTuple):
    """What readers need of a `DAY_HEADER`; slots count minutes from `first_minute`, -1 is none."""

    version: int
    date: int
    first_minute: int
    slots: int
    confirmed_slot: int
    open_slot: int
    superseded: int


@dataclass(frozen=True, slots=True)
class Day:
    """A whole day string: `records` is a read-only n-vector of `CANDLE`, one a slot, n ≤ `header.slots`."""

    header: DayHeader
    records: npt.NDArray[np.void]

    def start_ms(self) -> npt.NDArray[np.int64]:
        """Epoch ms at which each of the n records starts, ascending."""
        first = minute_start_ms(self.header.date, self.header.first_minute)
        return first + MINUTE_MS * np.arange(len(self.records), dtype=np.int64)

    def candle(self, instrument: str, start_ms: int) -> Candle | None:
        """The candle whose minute holds the epoch ms `start_ms`; None where there is none."""
        slot = (start_ms - minute_start_ms(self.header.date, self.header.first_minute)) // MINUTE_MS
        if not 0 <= slot < len(self.records):
            return None
        minute = self.header.first_minute + slot
        return candle_of(instrument, self.header.date, minute, self.records[slot : slot + 1])


class Event(NamedTuple):
    """A closed or amended candle in the stream: date YYYYMMDD, minute of the day (IST), and record."""

    date: int
    minute: int
    record: npt.NDArray[np.void]


def parse_header(data: bytes, key: str) -> DayHeader:
    """The header of a day string, of which `data` is the whole or the beginning.

    Raises StoreError, naming `key`, when it isn't one or has a layout this version doesn't read.
    """
    if len(data) < DAY_HEADER.itemsize or not data.startswith(DAY_MAGIC):
        raise StoreError(f"{key} in the store is not a day of candles: another program uses this key")
    raw = np.frombuffer(data, DAY_HEADER, 1)[0]
    header = DayHeader(*(int(raw[name]) for name in DayHeader._fields))
    if header.version != DAY_VERSION:
        raise StoreError(
            f"{key} has day layout {header.version}, this ray_ingest reads {DAY_VERSION}: upgrade it"
        )
    return header


def parse_day(data: bytes, key: str) -> Day:
    """A day string as header and records, without copying. Raises StoreError as `parse_header` does."""
    header = parse_header(data, key)
    count, rest = divmod(len(data) - DAY_HEADER.itemsize, CANDLE.itemsize)
    if rest or count > header.slots:
        raise StoreError(
            f"{key} in the store is damaged: {len(data)} bytes don't fit its {header.slots} minutes"
        )
    return Day(header, np.frombuffer(data, CANDLE, count, DAY_HEADER.itemsize))


def day_part(date: int, first_minute: int, records: bytes) -> Day:
    """Consecutive minutes of the session date YYYYMMDD from `first_minute` on, as a `Day` of just those."""
    minutes = np.frombuffer(records, CANDLE)
    return Day(DayHeader(DAY_VERSION, date, first_minute, len(minutes), -1, -1, 0), minutes)


def record_range(slot: int) -> tuple[int, int]:
    """First and last byte (both inclusive, as GETRANGE takes them) of a slot's record in a day string."""
    first = DAY_HEADER.itemsize + slot * CANDLE.itemsize
    return first, first + CANDLE.itemsize - 1


def parse_record(data: bytes) -> npt.NDArray[np.void]:
    """One record's bytes as a 1-vector of `CANDLE`; zeros (no candle) where a short string ended."""
    return np.frombuffer(data, CANDLE) if len(data) == CANDLE.itemsize else np.zeros(1, CANDLE)


def parse_event(value: bytes) -> Event:
    """The value of one field of a closed-stream entry: "<IHH" (date, minute of day, 0), then the record."""
    date, minute, _zero = _EVENT.unpack_from(value)
    return Event(date, minute, parse_record(value[_EVENT.size :]))


def candle_of(instrument: str, date: int, minute: int, record: npt.NDArray[np.void]) -> Candle | None:
    """The candle of a 1-vector of `CANDLE` at the IST minute of the date YYYYMMDD; None if it holds none."""
    (row,) = record.tolist()
    values: dict[str, Any] = dict(zip(CANDLE.names or (), row, strict=True))
    if not values["ticks"]:
        return None
    return Candle(
        instrument=instrument,
        timestamp=datetime.fromtimestamp(minute_start_ms(date, minute) / 1000, IST),
        open=values["open"],
        high=values["high"],
        low=values["low"],
        close=values["close"],
        volume=None if values["volume"] < 0 else values["volume"],
        oi=None if values["oi"] < 0 else values["oi"],
        ticks=values["ticks"],
        phase=Phase(values["phase"]).label,
        source=_source_label(values["source"]),
        final=bool(values["flags"] & Flag.FINAL),
        gap=bool(values["flags"] & Flag.GAP),
        revision=values["revision"],
    )


def candle_frame(days: Sequence[Day], start_ms: int, end_ms: int) -> pl.DataFrame:
    """Candles of `days` (dates ascending) that start in [start_ms, end_ms), as `FRAME_SCHEMA`, ascending."""
    records = np.frombuffer(b"".join(day.records.data for day in days), CANDLE)
    times = np.concatenate([np.empty(0, np.int64), *(day.start_ms() for day in days)])
    chosen = np.flatnonzero((records["ticks"] > 0) & (times >= start_ms) & (times < end_ms))
    records = records.view(_WHOLE)[chosen].view(CANDLE)
    sources, source_of = np.unique(records["source"], return_inverse=True)
    labels = pl.Series("source", [_source_label(int(bits)) for bits in sources], dtype=pl.String)
    columns = [pl.Series("timestamp", times[chosen]).cast(FRAME_SCHEMA["timestamp"])]
    columns += [_column(records, name) for name in ("open", "high", "low", "close")]
    columns += [_nullable(_column(records, name)) for name in ("volume", "oi")]
    columns += [_column(records, "ticks")]
    columns += [_PHASES[records["phase"].astype(np.uint32)], labels[source_of.astype(np.uint32)]]
    columns += [pl.Series("final", (records["flags"] & Flag.FINAL) > 0)]
    return pl.DataFrame(columns)


def _column(records: npt.NDArray[np.void], name: str) -> pl.Series:
    return pl.Series(name, np.ascontiguousarray(records[name]))


def _nullable(column: pl.Series) -> pl.Series:
    return column.set(column < 0, None)


@lru_cache
def _source_label(bits: int) -> str:
    return Source(bits).label
