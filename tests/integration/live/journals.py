"""What the producers' journals hold, and the candles they amount to, against those of a store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ray_ingest import Candles
from ray_ingest.core.gaps import is_note
from ray_ingest.journal.reader import JournalReader
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS
from tests.integration.live.stored import differences
from tests.oracle.candle_oracle import OracleDay, Tick
from tests.venues.market import Candles as Wanted
from tests.venues.market import Market

REGULAR = 2


@dataclass(frozen=True)
class Sequences:
    """All ticks that counted, by producer in the order of offsets: (name, TICK rows without gap notes)."""

    ticks: dict[str, list[tuple[str, np.void]]]

    @classmethod
    def read(cls, folder: Path) -> Sequences:
        """Those of a journal; the feed's name is the key."""
        reader = JournalReader(folder)
        ticks: dict[str, list[tuple[str, np.void]]] = defaultdict(list)
        for producer in reader.producers():
            names = reader.names(producer.producer)
            for partition in range(producer.partitions):
                for block in reader.blocks(producer.producer, partition):
                    rows = block.ticks()
                    for row in rows[~is_note(rows)]:
                        exchange, token, _ = names[row["instrument"]]
                        ticks[producer.name].append((f"{exchange}|{token}", row))
        return cls(dict(ticks))

    @property
    def number(self) -> int:
        """Of ticks."""
        return sum(map(len, self.ticks.values()))

    def candles(self) -> Wanted:
        """What they amount to, in an oracle that has all of them at once."""
        days: dict[tuple[str, int], OracleDay] = defaultdict(OracleDay)
        for ticks in self.ticks.values():
            for name, row in ticks:
                time_ms = int(row["event_time_ms"])
                day, minute = divmod((time_ms + IST_OFFSET_MS) // MINUTE_MS, DAY_MINUTES)
                quantity, volume, oi = (int(row[column]) for column in ("last_qty", "day_volume", "oi"))
                price, in_minute_ms = float(row["last_price"]), time_ms % MINUTE_MS
                tick = Tick(day, minute, in_minute_ms, price, quantity, volume, oi, REGULAR, 1)
                days[name, day].ticks.setdefault(minute, []).append(tick)
        return {
            (name, (day * DAY_MINUTES + minute) * MINUTE_MS - IST_OFFSET_MS): candle
            for (name, day), one in days.items()
            for minute, candle in one.candles().items()
        }

    def never_sent(self, market: Market) -> list[str]:
        """Ticks that no broker's venue had to send."""
        unknown = []
        for broker, ticks in self.ticks.items():
            names = {one.keys[broker]: one.name for one in market.instruments}
            sent = {
                (names[tick.key], round(tick.last_price, 4), tick.event_time_ms, tick.day_volume)
                for tick in market.ticks(broker)
            }
            for name, row in ticks:
                volume = int(row["day_volume"])
                told = (name, round(float(row["last_price"]), 4), int(row["event_time_ms"]))
                if (*told, None if volume < 0 else volume) not in sent:
                    unknown.append(f"{broker}: {name} {row}")
        return unknown


def unlike(folder: Path, url: str, market: Market) -> tuple[int, list[str]]:
    """How many candles the journal below `folder` amounts to, and what of the store at `url` differs: candles
    in the store, ticks that nobody sent, and volumes that don't add up to what was traded."""
    sequences = Sequences.read(folder)
    wanted = sequences.candles()
    with Candles(url) as candles:
        found = differences(wanted, candles, candles.instruments())
        found += _counted_twice(sequences, candles)
    return len(wanted), found + sequences.never_sent(market)


def _counted_twice(sequences: Sequences, candles: Candles) -> Iterator[str]:
    ends: dict[str, tuple[int, int]] = {}
    for ticks in sequences.ticks.values():
        for name, row in ticks:
            volume = int(row["day_volume"])
            if volume >= 0:
                low, high = ends.get(name, (volume, volume))
                ends[name] = min(low, volume), max(high, volume)
    for name, (low, high) in ends.items():
        if (total := candles.history(name)["volume"].sum()) != high - low:
            yield f"{name}: volumes sum up to {total}, traded were {high - low}"


class Change(NamedTuple):
    """When one producer's last tick was journaled, another one's first, and whose (epoch ms)."""

    before_ms: int
    after_ms: int
    before: str
    after: str

    @property
    def took_s(self) -> float:
        """Seconds without a tick that counts."""
        return (self.after_ms - self.before_ms) / 1000


def changes(folder: Path) -> list[Change]:
    """Each time that another producer's ticks counted than before, in order."""
    reader = JournalReader(folder)
    times = [
        (block.written_ms, producer.name)
        for producer, _partition, block in reader.blocks_as_written(reader.producers())
    ]
    return [
        Change(before_ms, after_ms, before, after)
        for (before_ms, before), (after_ms, after) in pairwise(times)
        if before != after
    ]
