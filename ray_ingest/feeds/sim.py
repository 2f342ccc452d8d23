"""The simulated exchange: a hidden market, and the conflated snapshots a broker would send of it.

The market (`sim_market`) trades; the broker here sends, for each instrument and conflation window, the last
trade with the cumulative volume as of it, and gets things wrong the way brokers do. No clock is read: session
times come from the settings, or from the start time handed to `live_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from ray_ingest.feeds.sim_listing import TICKS_PER_RUPEE, instrument_names
from ray_ingest.feeds.sim_market import Market, TapeBlock, window_of
from ray_ingest.feeds.sim_settings import OPEN_MINUTE, SimSettings
from ray_ingest.model import DAY_MINUTES, MINUTE_MS, NULL, day_of, minute_start_ms

__all__ = ["SimSettings", "SimulatedExchange", "SnapshotBlock"]

LATE_MS = (30_000, 150_000)
STALE_MS = 5_000
"""A stale snapshot is overtaken by one of at most this much later event time."""
LATENCY_MS = 5
JITTER_MS = 20
CACHED_MINUTE = 959
"""Cached snapshots carry a time of 15:59 the weekday before: real, but in no phase that makes candles."""
SUBSCRIBED_MINUTE = 539


@dataclass(frozen=True, slots=True)
class SnapshotBlock:
    """Snapshots in send order, which is the order of `receive_time_ms`: vectors of equal length.

    `index` counts into `SimulatedExchange.instruments`; times are epoch ms; a missing integer is NULL
    (indices have no qty, volume or oi; equities no oi).
    """

    index: npt.NDArray[np.uint32]
    event_time_ms: npt.NDArray[np.int64]
    last_price: npt.NDArray[np.float64]
    last_qty: npt.NDArray[np.int64]
    day_volume: npt.NDArray[np.int64]
    oi: npt.NDArray[np.int64]
    receive_time_ms: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> SnapshotBlock:
        return SnapshotBlock(*(getattr(self, column.name)[rows] for column in fields(self)))


class SimulatedExchange:
    """A seeded exchange; every method starts afresh and tells the same story each time.

    `instruments` holds the (exchange, token) that a block's `index` counts into.
    """

    def __init__(self, settings: SimSettings | None = None) -> None:
        self.settings = settings or SimSettings()
        self.instruments: list[tuple[str, str]] = instrument_names(self.settings)

    def tape(self) -> Iterator[TapeBlock]:
        """Every trade of the bounded session, in blocks of market time."""
        return Market(self.settings).session()

    def blocks(self) -> Iterator[SnapshotBlock]:
        """The snapshots of one session, in send order; ends with the session.

        First a cached snapshot of each instrument, then pre-open snapshots of equities, then the session,
        after whose last trade nothing newer comes. Blocks are a market minute or about 32,768 rows, whichever
        is less; their boundaries are as deterministic as their content.
        """
        market = Market(self.settings)
        ends_ms = minute_start_ms(self.settings.date, OPEN_MINUTE + self.settings.minutes)
        broker = _Broker(self.settings, ends_ms)
        yield broker.cached(market)
        yield from broker.send(market.session())

    def live_blocks(self, start_ms: int) -> Iterator[SnapshotBlock]:
        """The snapshots of an endless session that opens in the minute of `start_ms`, in send order.

        For running for ever at wall-clock pace: pass the time now, and hand each snapshot on when its
        `receive_time_ms` has come; blocks are made as they are asked for. All instruments trade day and night
        (`calendar=continuous`); prices go on for ever, cumulative volumes start again at midnight IST. There
        is no cached and no pre-open snapshot, `date` and `minutes` don't matter, and what would have been
        sent before `start_ms` is left out, as for anyone who subscribes.
        """
        broker = _Broker(self.settings, ends_ms=None)
        for block in broker.send(Market(self.settings).endless(start_ms)):
            wanted = block[int(np.searchsorted(block.receive_time_ms, start_ms)) :]
            if len(wanted):
                yield wanted


class _Broker:
    """Turns a tape into snapshots; holds those that are still on their way."""

    def __init__(self, settings: SimSettings, ends_ms: int | None) -> None:
        self._settings = settings
        self._ends_ms = ends_ms
        self._rng = np.random.default_rng([settings.seed, 2])
        self._window_ms = MINUTE_MS / settings.windows_per_minute
        # Instruments are polled one after the other within a window.
        self._poll_ms = self._rng.integers(0, int(self._window_ms) + 1, settings.instrument_count)

    def cached(self, market: Market) -> SnapshotBlock:
        """What the broker still has of the weekday before, sent on subscribing."""
        listing, date, n = market.listing, self._settings.date, self._settings.instrument_count
        today = np.datetime64(day_of(date), "D")
        days_ago = int((today - np.busday_offset(today, -1, roll="forward")).astype(np.int64))
        cached_ms = minute_start_ms(date, CACHED_MINUTE) - days_ago * DAY_MINUTES * MINUTE_MS
        volume = listing.lot * self._rng.integers(10_000, 1_000_000, n)
        return SnapshotBlock(
            np.arange(n, dtype=np.uint32),
            cached_ms + self._rng.integers(0, MINUTE_MS, n),
            listing.open_price / TICKS_PER_RUPEE,
            np.where(listing.is_index, NULL, listing.lot),
            np.where(listing.is_index, NULL, volume),
            np.where(listing.has_oi, 10 * volume, NULL),
            minute_start_ms(date, SUBSCRIBED_MINUTE) + np.sort(self._rng.integers(0, MINUTE_MS, n)),
        )

    def send(self, tape: Iterable[TapeBlock]) -> Iterator[SnapshotBlock]:
        """Blocks in send order; none is empty."""
        waiting: SnapshotBlock | None = None
        for trades in tape:
            new = self._snapshots(trades)
            waiting = new if waiting is None else _joined(waiting, new)
            order = _by_time(waiting.receive_time_ms)
            # Nothing of a later tape block is received before this one's end, so what is due by then can go.
            due = int(np.count_nonzero(waiting.receive_time_ms < trades.end_ms))
            if due:
                yield waiting[order[:due]]
            waiting = waiting[order[due:]]
        if waiting is not None and len(waiting):
            yield waiting

    def _snapshots(self, tape: TapeBlock) -> SnapshotBlock:
        """The snapshots of one tape block, by instrument and time, with the time each is received."""
        windows = self._settings.windows_per_minute
        window = window_of(tape.time_ms, windows)
        last = np.ones(len(window), np.bool_)
        last[:-1] = (tape.index[1:] != tape.index[:-1]) | (window[1:] != window[:-1])
        rows = np.flatnonzero(last)
        index, event_time_ms = tape.index[rows], tape.time_ms[rows]
        window_end_ms = (window[rows] + 1) * MINUTE_MS // windows
        jitter = self._rng.integers(0, min(JITTER_MS, int(self._window_ms)), len(rows))
        receive_time_ms = window_end_ms + self._poll_ms[index] + LATENCY_MS + jitter
        received, copies = self._disturb(index, event_time_ms, receive_time_ms)
        rows = np.repeat(rows, copies)
        return SnapshotBlock(
            tape.index[rows].astype(np.uint32),
            tape.time_ms[rows],
            tape.price[rows],
            tape.qty[rows],
            tape.day_volume[rows],
            tape.oi[rows],
            received,
        )

    def _disturb(
        self,
        index: npt.NDArray[np.int64],
        event_time_ms: npt.NDArray[np.int64],
        receive_time_ms: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What goes wrong: (receive times of all snapshots, repeats included; how often each is sent).

        Inputs are sorted by instrument, then time. A snapshot is late, stale (overtaken by the next of its
        instrument), or in order, and only then may be repeated, always before the next one.
        """
        settings, rng, n = self._settings, self._rng, len(index)
        followed = np.zeros(n, np.bool_)
        followed[:-1] = index[1:] == index[:-1]
        following = np.minimum(np.arange(1, n + 1), n - 1)
        lot = rng.random(n, np.float32)
        late = lot < settings.late_share
        delayed_ms = receive_time_ms + rng.integers(*LATE_MS, n)
        if self._ends_ms is not None:
            late &= delayed_ms < self._ends_ms
        picked = ~late & (lot < settings.late_share + settings.stale_share)
        overtaken = event_time_ms[following] - event_time_ms <= STALE_MS
        stale = picked & followed & overtaken & ~(late | picked)[following]
        in_order = ~(late | stale)
        overtaken_ms = receive_time_ms[following] + rng.integers(1, 1_000, n)
        received = np.where(late, delayed_ms, np.where(stale, overtaken_ms, receive_time_ms))

        mean_repeats = settings.repeat_share / (1 - settings.repeat_share)
        copies = 1 + np.where(in_order, rng.poisson(mean_repeats, n), 0)
        # Within one window at least, for the snapshot after the block's last isn't known yet.
        gap = np.where(followed, receive_time_ms[following] - receive_time_ms, self._window_ms - JITTER_MS)
        repeated = np.ones(int(copies.sum()), np.bool_)
        repeated[np.cumsum(copies) - copies] = False
        later = rng.random(len(repeated)) * np.repeat(np.clip(gap, 1, 1_000), copies)
        return np.repeat(received, copies) + np.where(repeated, later.astype(np.int64), 0), copies


def _by_time(times_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A stable argsort of times less than 2^31 ms apart: sorting (time, row) as one number is much faster."""
    if not len(times_ms):
        return np.zeros(0, np.int64)
    keys = ((times_ms - times_ms.min()) << 32) + np.arange(len(times_ms))
    keys.sort()
    rows: npt.NDArray[np.int64] = keys & 0xFFFF_FFFF
    return rows


def _joined(first: SnapshotBlock, second: SnapshotBlock) -> SnapshotBlock:
    columns = ((getattr(first, column.name), getattr(second, column.name)) for column in fields(first))
    return SnapshotBlock(*(np.concatenate(pair) for pair in columns))
