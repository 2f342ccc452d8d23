"""What the candles of a simulated session must be, stated apart from the pipeline that computes them.

Nothing here comes from the core: the rules are DESIGN's, written down once more over whole arrays, so that a
mistake in one place can't excuse the same mistake in the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ray_ingest.feeds.sim import SimulatedExchange
from ray_ingest.feeds.sim_settings import OPEN_MINUTE, close_minute

_MINUTE_MS = 60_000
_DAY_MINUTES = 1_440
_IST_MINUTES = 330
_NONE = -1
"""Stands for every missing integer; sorts before all that are there."""


class OracleCandle(NamedTuple):
    """One minute of one instrument; `volume` and `oi` are None where the instrument has none.

    To hold one against the exchange's own, compare `candle[:5]`: `ticks` counts snapshots in the one and
    trades in the other.
    """

    open: float
    high: float
    low: float
    close: float
    volume: int | None
    ticks: int
    oi: int | None


OracleCandles = dict[tuple[str, str, int], OracleCandle]
"""By (exchange, token, epoch ms at which the minute starts)."""


def snapshot_candles(exchange: SimulatedExchange, *, continuous: bool = False) -> OracleCandles:
    """The candles that the snapshots of `exchange.blocks()` must give.

    A repeat (time and cumulative volume equal to the instrument's previous snapshot as sent) doesn't count.
    Within a minute snapshots are ordered by (cumulative volume, event time), equal ones as sent. The volume
    is the highest cumulative volume of the minute less the highest of all earlier minutes of its day, those
    without candles included; for the day's first minute less the day's lowest; never below zero. With
    `continuous` every minute makes a candle (`calendar=continuous`), else only those of the trading hours.
    """
    blocks = list(exchange.blocks())
    index = np.concatenate([block.index for block in blocks]).astype(np.int64)
    time_ms = np.concatenate([block.event_time_ms for block in blocks])
    price = np.concatenate([block.last_price for block in blocks])
    volume = np.maximum(np.concatenate([block.day_volume for block in blocks]), _NONE)
    oi = np.maximum(np.concatenate([block.oi for block in blocks]), _NONE)

    as_sent = np.argsort(index, kind="stable")
    new = _changes(index[as_sent], time_ms[as_sent], volume[as_sent]) | (volume[as_sent] == _NONE)
    rows = as_sent[new]
    # lexsort sorts by its last key first and is stable: equal snapshots stay as sent.
    rows = rows[np.lexsort((time_ms[rows], volume[rows], time_ms[rows] // _MINUTE_MS, index[rows]))]
    index, time_ms, price, volume, oi = index[rows], time_ms[rows], price[rows], volume[rows], oi[rows]

    days = np.flatnonzero(_changes(index, _ist_day(time_ms)))
    lowest_of_day = dict(zip(days.tolist(), np.minimum.reduceat(volume, days).tolist(), strict=True))
    volume_before = _NONE
    candles: OracleCandles = {}
    for first, last, high, low in _minutes(index, time_ms, price):
        volume_before = lowest_of_day.get(first, volume_before)
        highest = int(volume[last])
        traded = max(0, highest - volume_before) if highest != _NONE else None
        volume_before = max(volume_before, highest)
        key = _key(exchange, int(index[first]), int(time_ms[first]))
        if continuous or _in_hours(exchange, key):
            candles[key] = OracleCandle(
                open=float(price[first]),
                high=high,
                low=low,
                close=float(price[last]),
                volume=traded,
                ticks=last - first + 1,
                oi=int(oi[last]) if oi[last] != _NONE else None,
            )
    return candles


def exchange_candles(exchange: SimulatedExchange) -> OracleCandles:
    """The exchange's own candles of the trading hours, from every trade of the hidden tape.

    Snapshots can't give these in full: what happens between two of them shows only in the volume.
    """
    candles: OracleCandles = {}
    for tape in exchange.tape():
        traded = np.concatenate(([0], np.cumsum(np.maximum(tape.qty, 0))))
        for first, last, high, low in _minutes(tape.index, tape.time_ms, tape.price):
            key = _key(exchange, int(tape.index[first]), int(tape.time_ms[first]))
            if not _in_hours(exchange, key):
                continue
            earlier = candles.get(key)
            opening = float(tape.price[first])
            qty = int(traded[last + 1] - traded[first]) + (earlier.volume or 0 if earlier else 0)
            candles[key] = OracleCandle(
                open=earlier.open if earlier else opening,
                high=max(high, earlier.high) if earlier else high,
                low=min(low, earlier.low) if earlier else low,
                close=float(tape.price[last]),
                volume=qty if tape.day_volume[last] >= 0 else None,
                ticks=last - first + 1 + (earlier.ticks if earlier else 0),
                oi=int(tape.oi[last]) if tape.oi[last] >= 0 else None,
            )
    return candles


def _minutes(
    index: npt.NDArray[np.int64], time_ms: npt.NDArray[np.int64], price: npt.NDArray[np.float64]
) -> Iterator[tuple[int, int, float, float]]:
    """(first row, last row, highest, lowest price) of each instrument's minutes; rows sorted by both."""
    first = np.flatnonzero(_changes(index, time_ms // _MINUTE_MS))
    if not len(first):
        return
    last = np.append(first[1:], len(index)) - 1
    highs, lows = np.maximum.reduceat(price, first), np.minimum.reduceat(price, first)
    yield from zip(first.tolist(), last.tolist(), highs.tolist(), lows.tolist(), strict=True)


def _changes(*columns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Where a row differs from the row before in any column; the first row does."""
    changes = np.ones(len(columns[0]), np.bool_)
    changes[1:] = False
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return changes


def _ist_day(time_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return (time_ms // _MINUTE_MS + _IST_MINUTES) // _DAY_MINUTES


def _key(exchange: SimulatedExchange, index: int, time_ms: int) -> tuple[str, str, int]:
    return (*exchange.instruments[index], time_ms // _MINUTE_MS * _MINUTE_MS)


def _in_hours(exchange: SimulatedExchange, key: tuple[str, str, int]) -> bool:
    name, _, minute_ms = key
    minute_of_day = (minute_ms // _MINUTE_MS + _IST_MINUTES) % _DAY_MINUTES
    return OPEN_MINUTE <= minute_of_day < close_minute(name, exchange.settings.date)
