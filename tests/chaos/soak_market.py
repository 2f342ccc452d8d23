"""A market of any length whose every minute is a pure function of its number, and its candles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ray_ingest.candles import Candles

MINUTE_MS = 60_000
DAY_MINUTES = 1_440
FIRST_DAY_MS = 1_765_737_000_000  # 2025-12-15 00:00 IST
SHOWN = 10


class Minute(NamedTuple):
    """n ticks in the order they are sent; `instrument` counts into `Hours.names`, times are epoch ms."""

    instrument: npt.NDArray[np.int64]
    time_ms: npt.NDArray[np.int64]
    price: npt.NDArray[np.float64]
    volume: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hours:
    """`minutes` of a market that never closes, `per_minute` ticks each, over `instruments`."""

    minutes: int
    per_minute: int
    instruments: int

    @property
    def ticks(self) -> int:
        """Of all minutes."""
        return self.minutes * self.per_minute

    @property
    def candles(self) -> int:
        """At most: each instrument may trade in each minute."""
        return self.minutes * self.instruments

    @property
    def names(self) -> list[tuple[str, str]]:
        """(exchange, token) of the instruments."""
        return [("CRYPTO", f"S{number}") for number in range(self.instruments)]

    def minute(self, number: int) -> Minute:
        """The ticks of a minute; within it some overtake others by up to three seconds."""
        rng = np.random.default_rng([7, number])
        n = self.per_minute
        offset_ms = np.sort(rng.integers(0, MINUTE_MS, n))
        start_ms = FIRST_DAY_MS + number * MINUTE_MS
        # A tick's cumulative volume is its place in the day, so it grows with time for every instrument.
        volume = (number % DAY_MINUTES) * n + np.arange(n) + 1
        price = 100 + rng.integers(0, 2_000, n) / 20
        sent = np.argsort(
            offset_ms + np.where(rng.random(n) < 0.02, rng.integers(0, 3_000, n), 0), kind="stable"
        )
        instrument = rng.integers(0, self.instruments, n)
        return Minute(instrument[sent], (start_ms + offset_ms)[sent], price[sent], volume[sent])

    def wrong_candles(self, candles: Candles) -> list[str]:
        """Every minute of every instrument held against the store's; the first differences in words."""
        wrong: list[str] = []
        for first in range(0, self.minutes, DAY_MINUTES):
            expected = self._day(first, min(self.minutes, first + DAY_MINUTES))
            start_ms = FIRST_DAY_MS + first * MINUTE_MS
            date = str(np.datetime64(start_ms + 19_800_000, "ms").astype("datetime64[D]"))
            for number, (exchange, token) in enumerate(self.names):
                day = candles.day(f"{exchange}|{token}", date)
                records = None if day is None else day.records
                wrong += _differences(f"{exchange}|{token} {date}", expected[number], records)
        return wrong if len(wrong) <= SHOWN else [*wrong[:SHOWN], f"… {len(wrong)} wrong candles in all"]

    def _day(self, first: int, end: int) -> npt.NDArray[np.float64]:
        """(instruments, minutes, 6): open, high, low, close, volume, ticks; NaN without a trade."""
        table = np.full((self.instruments, end - first, 6), np.nan)
        highest = np.full(self.instruments, -1)
        for number in range(first, end):
            sent = self.minute(number)
            order = np.lexsort((sent.volume, sent.instrument))
            instrument, price, volume = sent.instrument[order], sent.price[order], sent.volume[order]
            starts = np.flatnonzero(np.diff(instrument, prepend=-1))
            lasts = np.append(starts[1:], len(order)) - 1
            who, before = instrument[starts], highest[instrument[starts]]
            traded = volume[lasts] - np.where(before >= 0, before, volume[starts])
            highest[who] = volume[lasts]
            table[who, number - first] = np.column_stack(
                (
                    price[starts],
                    np.maximum.reduceat(price, starts),
                    np.minimum.reduceat(price, starts),
                    price[lasts],
                    traded,
                    lasts - starts + 1,
                )
            )
        return table


def _differences(
    name: str, expected: npt.NDArray[np.float64], records: npt.NDArray[np.void] | None
) -> list[str]:
    if records is None:
        return [f"{name} is missing"]
    found = np.full_like(expected, np.nan)
    used = records[: len(expected)]
    columns = np.column_stack([used[c] for c in ("open", "high", "low", "close", "volume", "ticks")])
    traded = used["ticks"] > 0
    found[: len(used)][traded] = columns[traded]
    differs = ((found != expected) & ~(np.isnan(found) & np.isnan(expected))).any(axis=1)
    differs[: len(used)] |= traded & (used["flags"] != 1)
    return [
        f"{name} minute {m}: {found[m]} instead of {expected[m]}" for m in np.flatnonzero(differs).tolist()
    ]
