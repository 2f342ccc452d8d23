"""A seeded tape of ticks for benchmarks, made and checked with array operations only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, TickColumns, minute_start_ms

SESSION_DATE = 20251215
FIRST_MINUTE = 555  # 09:15 IST
SESSION_MINUTES = 375
LATE_SHARE = 0.01
LATENESS_MS = (30_000, 90_000)
REPEATED_SHARE = 0.005
EXCHANGE = "NSE_FO"


@dataclass(frozen=True, slots=True)
class Tape:
    """Ticks in arrival order and the table that names their instruments (ids 0 … n−1)."""

    columns: TickColumns
    table: InstrumentTable

    def __len__(self) -> int:
        return len(self.columns)


def make_tape(instruments: int, ticks: int, minutes: int, seed: int) -> Tape:
    """`ticks` ticks spread evenly over the first `minutes` minutes of the NSE session of 2025-12-15.

    Every tick trades 1–5 lots of a uniformly drawn instrument, whose price walks on the 0.05 grid and whose
    day volume only grows. 1 % arrive 30–90 s late; 0.5 % are followed by a copy of themselves. The same
    arguments make the same tape. Raises ValueError when an argument is out of range.
    """
    if instruments < 1 or ticks < 1 or not 1 <= minutes <= SESSION_MINUTES:
        raise ValueError(f"no tape of {instruments} instruments, {ticks} ticks and {minutes} minutes")
    random = np.random.default_rng(seed)
    repeats = int(ticks * REPEATED_SHARE)
    trades = ticks - repeats

    instrument = random.integers(0, instruments, trades, dtype=np.uint32)
    event_time_ms = _session_start_ms() + np.arange(trades, dtype=np.int64) * (minutes * MINUTE_MS) // trades
    last_qty = random.integers(1, 6, trades) * 25
    day_volume = random.integers(0, 100_000, instruments)[instrument] + _running_sum(instrument, last_qty)
    price_units = random.integers(10_000, 60_000, instruments)[instrument]
    price_units += _running_sum(instrument, random.integers(-1, 2, trades))
    last_price = np.maximum(price_units, 1) * 5 / 100  # the double nearest to a multiple of 0.05
    oi = random.integers(0, 10_000_000, instruments)[instrument]

    receive_time_ms = event_time_ms.copy()
    late = random.random(trades) < LATE_SHARE
    receive_time_ms[late] += random.integers(*LATENESS_MS, int(late.sum()))
    rows = np.append(np.arange(trades), random.choice(trades, repeats, replace=False))
    arrival = np.lexsort((rows, receive_time_ms[rows]))  # a repeat right after the tick it repeats
    rows = rows[arrival]
    return Tape(
        TickColumns(
            instrument[rows],
            event_time_ms[rows],
            last_price[rows],
            last_qty[rows],
            day_volume[rows],
            oi[rows],
            receive_time_ms[rows],
        ),
        _table(instruments),
    )


def expected_candles(tape: Tape) -> pl.DataFrame:
    """The candles that the design's rules 2 and 3 make of the tape, one row an (instrument, minute).

    Sorted by `instrument` (the id) and `minute` (of the day, IST); `open, high, low, close` float64,
    `volume` int64, `ticks` uint32 without repeats. A plain group-by over the sorted tape: it shares no code
    with the pipeline. It takes every tick in session, as the tape has no other.
    """
    columns = tape.columns
    minute = (columns.event_time_ms + IST_OFFSET_MS) // MINUTE_MS % DAY_MINUTES
    ticks = pl.DataFrame(
        {
            "instrument": columns.instrument,
            "minute": minute,
            "event_time_ms": columns.event_time_ms,
            "price": columns.last_price,
            "day_volume": columns.day_volume,
        }
    )
    price = pl.col("price")
    cumulative = pl.col("day_volume")
    by_trade = ticks.unique(["instrument", "event_time_ms", "day_volume"]).sort(
        "instrument", "day_volume", "event_time_ms"
    )
    candles = (
        by_trade.group_by("instrument", "minute", maintain_order=True)
        .agg(
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            lowest=cumulative.min(),
            highest=cumulative.max(),
            ticks=pl.len().cast(pl.UInt32),
        )
        .sort("instrument", "minute")
    )
    earlier = pl.col("highest").cum_max().shift(1).over("instrument")
    day_lowest = pl.col("lowest").min().over("instrument")
    volume = (pl.col("highest") - pl.coalesce(earlier, day_lowest)).clip(lower_bound=0)
    return candles.with_columns(volume=volume).select(
        "instrument", "minute", "open", "high", "low", "close", "volume", "ticks"
    )


def _session_start_ms() -> int:
    return minute_start_ms(SESSION_DATE, FIRST_MINUTE)


def _running_sum(group: npt.NDArray[np.uint32], steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Within each group, the sum of the steps up to and including each row."""
    order = np.argsort(group, kind="stable")
    total = np.cumsum(steps[order])
    grouped = group[order]
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]])
    lengths = np.diff(np.r_[starts, len(grouped)])
    before = total[starts] - steps[order][starts]
    result = np.empty_like(total)
    result[order] = total - np.repeat(before, lengths)
    return result


def _table(instruments: int) -> InstrumentTable:
    table = InstrumentTable()
    for number in range(instruments):
        table.intern(EXCHANGE, str(35_000 + number), "sim")
    return table
