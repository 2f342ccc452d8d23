"""Ticks to partial candles: one row per instrument and minute, in one vectorised pass.

Within a minute ticks are ordered by (cumulative volume, event time), those without a cumulative volume by
event time, equals by their given order; where a minute has both kinds, those with a volume open and close it.
The store merges rows of several passes by the same rule, so how ticks are cut into passes never shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ray_ingest.core.order import group_starts, stable_order
from ray_ingest.model import DAY_MINUTES, MINUTE_MS, ROW

_LARGEST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class PartialCandles:
    """k rows ascending by (instrument, day, minute): the owner's instrument number (int64), the IST day
    counted from 1970-01-01 (int64), and the `ROW` itself."""

    instrument: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    rows: npt.NDArray[np.void]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class PlacedTicks:
    """n ticks (TICK rows, any order) and where each belongs: the owner's instrument number, IST day and
    minute of that day (int64), phase (uint8) and source flags (uint16)."""

    ticks: npt.NDArray[np.void]
    instrument: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    minute: npt.NDArray[np.int64]
    phase: npt.NDArray[np.uint8]
    source: npt.NDArray[np.uint16]


def aggregate(placed: PlacedTicks, candle_mask: npt.NDArray[np.bool_]) -> PartialCandles:
    """Partial candles of `placed`; `candle_mask[phase]` says which phases make candles.

    A row of another phase has `ticks` 0 and only carries the cumulative volume; without one it is left out.
    """
    if not len(placed.day):
        return PartialCandles(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, ROW))
    order, starts = _group(placed.instrument, placed.day * DAY_MINUTES + placed.minute)
    ticks = placed.ticks
    price = ticks["last_price"][order]
    volume = ticks["day_volume"][order]
    time_ms = ticks["event_time_ms"][order]

    sizes = np.diff(np.append(starts, len(order)))
    rows = np.zeros(len(starts), ROW)
    rows["high"] = np.maximum.reduceat(price, starts)
    rows["low"] = np.minimum.reduceat(price, starts)
    volumeless = bool((volume < 0).any())
    opening_volume = np.where(volume < 0, _LARGEST, volume) if volumeless else volume
    lowest = np.minimum.reduceat(opening_volume, starts)
    highest = np.maximum.reduceat(volume, starts)
    rows["volume_low"] = np.where(lowest == _LARGEST, -1, lowest)
    rows["volume_high"] = highest
    number = np.repeat(np.arange(len(starts)), sizes)
    opening = _earliest(np.flatnonzero(opening_volume == lowest[number]), number, time_ms)
    closing = _latest(np.flatnonzero(volume == highest[number]), number, time_ms)
    rows["open"] = price[opening]
    rows["close"] = price[closing]
    rows["first_ms"] = time_ms[opening] % MINUTE_MS
    rows["last_ms"] = time_ms[closing] % MINUTE_MS
    rows["oi"] = ticks["oi"][order[closing]]
    rows["ticks"] = sizes
    rows["volume"] = -1
    if volumeless:
        _add_quantities(rows, starts, volume, ticks["last_qty"][order])
    firsts = order[starts]
    rows["source"] = np.bitwise_or.reduceat(placed.source[order], starts)
    rows["phase"] = placed.phase[firsts]
    rows["minute"] = placed.minute[firsts]
    no_candle = ~candle_mask[rows["phase"]]
    instrument, day = placed.instrument[firsts], placed.day[firsts]
    if no_candle.any():
        for name in ("open", "high", "low", "close", "ticks", "first_ms", "last_ms", "source"):
            rows[name][no_candle] = 0
        rows["oi"][no_candle] = -1
        rows["volume"][no_candle] = -1
        keep = ~no_candle | (rows["volume_low"] >= 0)
        instrument, day, rows = instrument[keep], day[keep], rows[keep]
    return PartialCandles(instrument, day, rows)


def combine(parts: Sequence[PartialCandles]) -> PartialCandles:
    """The partial candles of all ticks behind `parts`, those of earlier parts having come earlier."""
    if len(parts) == 1:
        return parts[0]
    instrument = np.concatenate([part.instrument for part in parts])
    day = np.concatenate([part.day for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    if not len(rows):
        return PartialCandles(instrument, day, rows)
    order, starts = _group(instrument, day * DAY_MINUTES + rows["minute"])
    rows = rows[order]
    opening_volume = np.where(rows["volume_low"] < 0, _LARGEST, rows["volume_low"])
    lowest = np.minimum.reduceat(opening_volume, starts)
    highest = np.maximum.reduceat(rows["volume_high"], starts)
    number = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
    opening = _earliest(np.flatnonzero(opening_volume == lowest[number]), number, rows["first_ms"])
    closing = _latest(np.flatnonzero(rows["volume_high"] == highest[number]), number, rows["last_ms"])
    merged = rows[starts]
    merged["open"], merged["first_ms"] = rows["open"][opening], rows["first_ms"][opening]
    for name in ("close", "last_ms", "oi"):
        merged[name] = rows[name][closing]
    merged["high"] = np.maximum.reduceat(rows["high"], starts)
    merged["low"] = np.minimum.reduceat(rows["low"], starts)
    merged["volume_low"] = np.where(lowest == _LARGEST, -1, lowest)
    merged["volume_high"] = highest
    merged["ticks"] = np.add.reduceat(rows["ticks"], starts)
    merged["source"] = np.bitwise_or.reduceat(rows["source"], starts)
    traded = rows["volume"] >= 0
    total = np.add.reduceat(np.where(traded, rows["volume"], 0), starts)
    merged["volume"] = np.where(np.logical_or.reduceat(traded, starts), total, -1)
    return PartialCandles(instrument[order[starts]], day[order[starts]], merged)


def _group(
    instrument: npt.NDArray[np.int64], minute_number: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The stable order by (instrument, minute) of at least one tick, and where in it each group starts."""
    earliest = int(minute_number.min())
    span = int(minute_number.max()) - earliest + 1
    keys = instrument * span + (minute_number - earliest)
    order = stable_order(keys)
    return order, group_starts(keys[order])


def _earliest(
    positions: npt.NDArray[np.intp], number: npt.NDArray[np.int64], time_ms: npt.NDArray[np.int64]
) -> npt.NDArray[np.intp]:
    """Of ascending positions, the one of the least time in each group, of equals the first.

    `number` is the group of every tick, counted from 0; each group has a position.
    """
    group, times = number[positions], time_ms[positions]
    starts = group_starts(group)
    found: npt.NDArray[np.intp] = positions[times == np.minimum.reduceat(times, starts)[group]]
    first: npt.NDArray[np.intp] = found[group_starts(number[found])]
    return first


def _latest(
    positions: npt.NDArray[np.intp], number: npt.NDArray[np.int64], time_ms: npt.NDArray[np.int64]
) -> npt.NDArray[np.intp]:
    """Of ascending positions, the one of the greatest time in each group, of equals the last."""
    group, times = number[positions], time_ms[positions]
    starts = group_starts(group)
    found: npt.NDArray[np.intp] = positions[times == np.maximum.reduceat(times, starts)[group]]
    last: npt.NDArray[np.intp] = found[np.append(group_starts(number[found])[1:], len(found)) - 1]
    return last


def _add_quantities(
    rows: npt.NDArray[np.void],
    starts: npt.NDArray[np.intp],
    volume: npt.NDArray[np.int64],
    quantity: npt.NDArray[np.int64],
) -> None:
    """A tape's volume is the sum of its quantities: of ticks that have one and no cumulative volume."""
    counted = (volume < 0) & (quantity >= 0)
    total = np.add.reduceat(np.where(counted, quantity, 0), starts)
    has_any = np.logical_or.reduceat(counted, starts)
    rows["volume"] = np.where(has_any, total, -1)
