"""The hidden market of the simulated exchange: every trade that happens, before any broker conflates it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ray_ingest.feeds.sim_listing import TICKS_PER_RUPEE, listing_of
from ray_ingest.feeds.sim_settings import OPEN_MINUTE, SimSettings
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, NULL, minute_start_ms

BURST = (5.0, 4.0, 3.0, 2.0, 1.5)
"""How many times busier than later each of the first minutes is."""
PRE_OPEN_MINUTES = (540, 548)
PRE_OPEN_TRADES = 3.0
BLOCK_ROWS = 32_768
"""Snapshots a block is meant to hold when the rate is high; at low rates a block is one market minute."""
MINUTE_VOLATILITY = 3e-4
"""Standard deviation of an underlying's move in a minute, as a share of its opening price."""

_Number = TypeVar("_Number", np.float64, np.int64)


@dataclass(frozen=True, slots=True)
class TapeBlock:
    """All trades of [start_ms, end_ms): equal-length vectors sorted by (index, time, trade).

    `day_volume` and `oi` are as after the trade; NULL where the instrument has none. A block holds whole
    conflation windows.
    """

    start_ms: int
    end_ms: int
    index: npt.NDArray[np.int64]
    time_ms: npt.NDArray[np.int64]
    price: npt.NDArray[np.float64]
    qty: npt.NDArray[np.int64]
    day_volume: npt.NDArray[np.int64]
    oi: npt.NDArray[np.int64]


class Market:
    """One run of the market; a new one of equal settings trades exactly the same."""

    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        self.listing = listing_of(settings)
        self._rng = np.random.default_rng([settings.seed, 1])
        self._walk = self.listing.open_price.copy()
        self._oi = self.listing.lot * self._rng.integers(100_000, 1_000_000, settings.instrument_count)
        self._volume = np.zeros(settings.instrument_count, np.int64)

    def session(self) -> Iterator[TapeBlock]:
        """The session of `settings.date`: pre-open of the equities, then `settings.minutes` from 09:15."""
        listing, date = self.listing, self.settings.date
        # Futures have a pre-open too, of which no snapshot is sent: their first tick's volume is above zero.
        futures = listing.lot * self._rng.integers(1, 200, len(listing.lot))
        self._volume += np.where(listing.is_future, futures, 0)
        start, end = (minute_start_ms(date, minute) for minute in PRE_OPEN_MINUTES)
        yield self._trade(start, end, np.where(listing.is_equity, PRE_OPEN_TRADES, 0.0))
        mean = trades_per_minute(self.settings, listing.activity, self.settings.minutes)
        for minute in range(self.settings.minutes):
            trading = OPEN_MINUTE + minute < listing.close_minute
            begins = minute_start_ms(date, OPEN_MINUTE + minute)
            yield from self._minute(begins, minute, mean * trading, opens=minute == 0)

    def endless(self, start_ms: int) -> Iterator[TapeBlock]:
        """Trading day and night from the minute of `start_ms`; volumes start again at midnight IST."""
        mean = trades_per_minute(self.settings, self.listing.activity, DAY_MINUTES)
        first = start_ms // MINUTE_MS
        minute = 0
        while True:
            begins = (first + minute) * MINUTE_MS
            midnight = (begins + IST_OFFSET_MS) % (DAY_MINUTES * MINUTE_MS) == 0
            if midnight:
                self._volume[:] = 0
            yield from self._minute(begins, minute, mean, opens=midnight or minute == 0)
            minute += 1

    def _minute(
        self, start_ms: int, minute: int, mean: npt.NDArray[np.float64], *, opens: bool
    ) -> Iterator[TapeBlock]:
        """Trade for a minute; `mean` is each instrument's trades a minute after the burst.

        Conflation windows lie across the minutes' edges, so the minute's block starts and ends half a window
        early; where the market `opens` it starts on time. A close or midnight leaves that half window silent.
        """
        windows = self.settings.windows_per_minute
        burst = BURST[minute] if minute < len(BURST) else 1.0
        rows = 60 * self.settings.ticks_per_second * burst
        parts = min(windows, math.ceil(rows / BLOCK_ROWS))
        edges = [part * windows // parts for part in range(parts + 1)]
        bounds = [window_start_ms(start_ms * windows // MINUTE_MS + edge, windows) for edge in edges]
        bounds[0] = start_ms if opens else bounds[0]
        for begins, ends in pairwise(bounds):
            share = (ends - begins) / MINUTE_MS
            yield self._trade(begins, ends, mean * burst * share)

    def _trade(self, start_ms: int, end_ms: int, mean: npt.NDArray[np.float64]) -> TapeBlock:
        """Trade for a while; `mean` is each instrument's expected number of trades in it."""
        rng, listing = self._rng, self.listing
        span = end_ms - start_ms
        counts = rng.poisson(mean)
        index = np.repeat(np.arange(len(counts)), counts)
        total = len(index)
        # Sorting one key of instrument and time leaves the instruments, already in order, where they are.
        offset = index * span + rng.integers(0, span, total)
        offset.sort()
        offset -= index * span
        lot = listing.lot[index]
        qty = lot * (1 + rng.standard_exponential(total, np.float32) * 1.5).astype(np.int64)
        day_volume = _running(self._volume, qty, counts)
        oi = _running(self._oi, lot * rng.integers(-1, 2, total, np.int8), counts)
        drift = self._drift(span)
        walk = _running(self._walk, listing.step[index] * rng.integers(-2, 3, total, np.int8), counts)
        price = np.maximum(1.0, np.rint(walk + drift[index] * (offset / span))) / TICKS_PER_RUPEE
        self._walk = np.maximum(1.0, self._walk + drift)
        np.maximum(self._oi, listing.lot, out=self._oi)
        is_index = listing.is_index[index]
        qty[is_index] = NULL
        day_volume[is_index] = NULL
        oi = np.where(listing.has_oi[index], np.maximum(oi, 0), NULL)
        return TapeBlock(start_ms, end_ms, index, offset + start_ms, price, qty, day_volume, oi)

    def _drift(self, span: int) -> npt.NDArray[np.float64]:
        """How far each instrument drifts in `span` ms, in tick sizes: families together, all a little."""
        listing = self.listing
        common = self._rng.standard_normal()
        own = self._rng.standard_normal(len(listing.lot))
        scale = listing.open_price * MINUTE_VOLATILITY * math.sqrt(span / MINUTE_MS)
        return listing.beta * (scale * (0.6 * common + 0.8 * own))[listing.family]


def window_of(time_ms: npt.NDArray[np.int64], windows_per_minute: int) -> npt.NDArray[np.int64]:
    """The conflation window of a time; windows lie across the minutes' edges, as no broker minds those."""
    return (time_ms * windows_per_minute + MINUTE_MS // 2) // MINUTE_MS


def window_start_ms(window: int, windows_per_minute: int) -> int:
    """The first ms of a conflation window."""
    return -((MINUTE_MS // 2 - window * MINUTE_MS) // windows_per_minute)


def trades_per_minute(
    settings: SimSettings, activity: npt.NDArray[np.float64], minutes: int
) -> npt.NDArray[np.float64]:
    """Each instrument's trades a minute after the burst, so that snapshots come at the rate asked for.

    An instrument sends a snapshot in each conflation window it trades in, and repeats on top; the mean over
    the burst and the rest of `minutes` is solved by bisection.
    """
    windows = settings.windows_per_minute
    bursts = BURST[:minutes]
    levels = np.array([*bursts, 1.0])
    weights = np.array([*([1.0] * len(bursts)), minutes - len(bursts)]) / minutes
    wanted = 60 * settings.ticks_per_second * (1 - settings.repeat_share)

    def snapshots(trades: float) -> float:
        per_window = np.outer(levels, activity) * (trades / windows)
        return float(weights @ (windows * -np.expm1(-per_window).sum(axis=1)))

    low, high = 0.0, wanted
    while snapshots(high) < wanted:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if snapshots(middle) < wanted else (low, middle)
    return high * activity


def _running(
    state: npt.NDArray[_Number], steps: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> npt.NDArray[_Number]:
    """Running totals by instrument: `counts[i]` consecutive steps continue `state[i]`, which moves on."""
    totals = np.concatenate(([0], np.cumsum(steps)))
    ends = np.cumsum(counts)
    before = totals[ends - counts]
    running: npt.NDArray[_Number] = totals[1:] + np.repeat(state - before, counts)
    state += totals[ends] - before
    return running
