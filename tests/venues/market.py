"""One market for all three brokers: its instruments by each broker's keys, and what each sends of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, takewhile
from typing import NamedTuple

import numpy as np

from ray_ingest.feeds.session.adapter import Subscription
from ray_ingest.feeds.sim_listing import TICKS_PER_RUPEE, instrument_names
from ray_ingest.feeds.sim_market import Market as Exchange
from ray_ingest.feeds.sim_market import TapeBlock
from ray_ingest.feeds.sim_settings import OPEN_MINUTE, SimSettings, close_minute
from tests.oracle.candle_oracle import Minute, OracleDay, Tick
from tests.venues.venue import VenueTick

BROKERS = ("upstox", "fyers", "dhan")
RESOLUTION_MS = {"upstox": 1, "fyers": 1_000, "dhan": 1_000}
"""Of the event times on each broker's wire."""
WINDOW_MS = 500
LATENCY_MS = (5, 60)
LOST_SHARE = 0.05
REPEAT_SHARE = 0.1

MINUTE_MS, DAY_MS, IST_MS = 60_000, 86_400_000, 19_800_000
PRE_OPEN, REGULAR = 1, 2


class Instrument(NamedTuple):
    """`keys` by broker; `fytoken` is how Fyers' REST answers name it."""

    name: str
    keys: dict[str, str]
    fytoken: str


class Sent(NamedTuple):
    """A tick and when (epoch ms, by the market's time) its broker sends it."""

    sent_ms: int
    tick: VenueTick


Candles = dict[tuple[str, int], Minute]
"""By name and epoch ms at which the minute starts."""


@dataclass(frozen=True)
class Market:
    """A seeded market; equal settings tell the same story to each broker every time.

    With `start_ms` it trades day and night from there on (`calendar=continuous`); else it is the session of
    `date` (YYYYMMDD) from 09:15. Prices are multiples of 0.05. `updates` is the mean number of snapshots an
    instrument has a minute; activity is uneven.
    """

    count: int = 60
    minutes: int = 3
    updates: float = 30.0
    seed: int = 7
    date: int = 20261120
    start_ms: int | None = None

    @property
    def instruments(self) -> list[Instrument]:
        """Indices, equities, futures and options, in this order."""
        return [_instrument(row, *name) for row, name in enumerate(instrument_names(self._settings))]

    def subscriptions(self, broker: str) -> list[Subscription]:
        """All of them, as a session is given them."""
        return [Subscription(one.name, one.keys[broker], 1 / TICKS_PER_RUPEE) for one in self.instruments]

    def keys(self, broker: str) -> list[str]:
        """The broker's key of every instrument."""
        return [one.keys[broker] for one in self.instruments]

    def sent(self, broker: str) -> list[Sent]:
        """What one broker sends, in its order: of each instrument the last trade of every window of its own,
        some of which are lost, some sent twice."""
        return _sent(self, broker)

    def ticks(self, broker: str) -> list[VenueTick]:
        """The same without the times."""
        return [one.tick for one in self.sent(broker)]

    def batches(self, broker: str, every_ms: int = 250) -> Iterator[tuple[int, list[VenueTick]]]:
        """The same in publications of so many ms of market time, each with the time of its end."""
        for number, batch in groupby(self.sent(broker), lambda one: one.sent_ms // every_ms):
            yield (number + 1) * every_ms, [one.tick for one in batch]

    def candles(self, *producers: Sequence[VenueTick]) -> Candles:
        """What these ticks, those of one producer in the order it sent them, must give together."""
        names = {key: one.name for one in self.instruments for key in one.keys.values()}
        days: dict[tuple[str, int], OracleDay] = {}
        for ticks in producers:
            for tick in _without_repeats(ticks):
                name = names[tick.key]
                day, in_day_ms = divmod(tick.event_time_ms + IST_MS, DAY_MS)
                minute, ms = divmod(in_day_ms, MINUTE_MS)
                integers = (tick.last_qty, tick.day_volume, tick.oi)
                qty, volume, oi = (-1 if value is None else value for value in integers)
                row = Tick(day, minute, ms, tick.last_price, qty, volume, oi, self._phase(name, minute), 0)
                days.setdefault((name, day), OracleDay()).ticks.setdefault(minute, []).append(row)
        return {
            (name, day * DAY_MS + minute * MINUTE_MS - IST_MS): candle
            for (name, day), one in days.items()
            for minute, candle in one.candles().items()
        }

    def _phase(self, name: str, minute: int) -> int:
        close = close_minute(name.split("|")[0], self.date)
        return REGULAR if self.start_ms is not None or OPEN_MINUTE <= minute < close else PRE_OPEN

    @property
    def _settings(self) -> SimSettings:
        indices, equities, futures = (max(1, self.count * share // 100) for share in (2, 30, 18))
        options = self.count - indices - equities - futures
        return SimSettings(
            seed=self.seed, date=self.date, indices=indices, equities=equities, futures=futures,
            options=options, minutes=self.minutes, ticks_per_second=self.count * self.updates / 60,
        )  # fmt: skip

    def _tape(self) -> Iterable[TapeBlock]:
        exchange = Exchange(self._settings)
        if self.start_ms is None:
            return exchange.session()
        end_ms = self.start_ms + self.minutes * MINUTE_MS
        return takewhile(lambda block: block.start_ms < end_ms, exchange.endless(self.start_ms))


def _without_repeats(ticks: Iterable[VenueTick]) -> Iterator[VenueTick]:
    """Without those equal in (time, cumulative volume) to their instrument's last one."""
    last: dict[str, tuple[int, int]] = {}
    for tick in ticks:
        if tick.day_volume is not None:
            seen = (tick.event_time_ms, tick.day_volume)
            if last.get(tick.key) == seen:
                continue
            last[tick.key] = seen
        yield tick


@cache
def _sent(market: Market, broker: str) -> list[Sent]:
    rng = np.random.default_rng([market.seed, BROKERS.index(broker)])
    blocks = list(market._tape())
    index, time_ms, price, qty, volume, oi = (
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("index", "time_ms", "price", "qty", "day_volume", "oi")
    )
    start_ms = market.start_ms or 0
    offset_ms = rng.integers(0, WINDOW_MS, market.count)[index]
    window = (time_ms + offset_ms) // WINDOW_MS
    order = np.lexsort((np.arange(len(index)), window, index))
    last = np.ones(len(order), np.bool_)
    last[:-1] = (np.diff(index[order]) != 0) | (np.diff(window[order]) != 0)
    rows = order[last]
    rows = rows[(rng.random(len(rows)) >= LOST_SHARE) & (time_ms[rows] >= start_ms)]
    rows = np.repeat(rows, 1 + (rng.random(len(rows)) < REPEAT_SHARE))
    # A window's end plus less than a window: an instrument's snapshots stay in order.
    sent_ms = (window[rows] + 1) * WINDOW_MS - offset_ms[rows] + rng.integers(*LATENCY_MS, len(rows))
    by_time = np.argsort(sent_ms, kind="stable")
    rows, sent_ms = rows[by_time], sent_ms[by_time]
    keys, resolution_ms = market.keys(broker), RESOLUTION_MS[broker]
    columns = (sent_ms, *(column[rows] for column in (index, time_ms, price, qty, volume, oi)))
    return [
        Sent(at_ms, VenueTick(keys[i], p, _or_none(q), t - t % resolution_ms, _or_none(v), _or_none(o)))
        for at_ms, i, t, p, q, v, o in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _or_none(value: int) -> int | None:
    return None if value < 0 else value


def _instrument(row: int, segment: str, token: str) -> Instrument:
    exchange = segment.split("_")[0]
    if segment.endswith("_INDEX"):
        upstox, dhan = f"{segment}|{token}", f"IDX_I:{13 + row}"
        fyers = f"{exchange}:{token.replace(' ', '').upper()}-INDEX"
        fytoken = f"1010000000{26_000 + row}"
    elif segment.endswith("_EQ"):
        upstox, dhan = f"{segment}|INE{int(token):06d}01", f"{segment}:{token}"
        fyers = f"{exchange}:S{token}-EQ"
        fytoken = f"{'1210' if exchange == 'BSE' else '1010'}000000{token}"
    else:
        upstox, dhan = f"{segment}|{token}", f"{exchange}_FNO:{token}"
        fyers = f"{exchange}:F{token}FUT"
        fytoken = f"1011261224{token}"
    return Instrument(f"{segment}|{token}", {"upstox": upstox, "fyers": fyers, "dhan": dhan}, fytoken)
