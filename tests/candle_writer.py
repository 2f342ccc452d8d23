"""Puts candles into a store byte by byte as its layout is documented, for tests of readers."""

from __future__ import annotations

import struct
from datetime import datetime

import numpy as np
import redis

from ray_ingest.clock import IST
from ray_ingest.core.instruments import split_name
from ray_ingest.core.partition import partition_of
from ray_ingest.model import CANDLE, DAY_HEADER, Phase, Source
from ray_ingest.store.keys import Keys

FUTURE, INDEX, SHARE = "NSE_FO|8765", "NSE_INDEX|Nifty 50", "NSE_EQ|INFY"
THURSDAY, FRIDAY, MONDAY = 20261119, 20261120, 20261123
FIRST_MINUTE, SLOTS = 555, 375


def at(day: int, hour: int, minute: int) -> datetime:
    """The IST time of day on the date YYYYMMDD."""
    return datetime(day // 10_000, day // 100 % 100, day % 100, hour, minute, tzinfo=IST)


class Writer:
    """Writes what the Lua scripts would: registry, day strings, closed events."""

    def __init__(self, client: redis.Redis, partitions: int = 1, prefix: str = "") -> None:
        self.client, self.keys, self.partitions = client, Keys(prefix), partitions
        client.set(self.keys.partitions(), partitions)

    def stem(self, name: str) -> str:
        """Key stem of an instrument."""
        return self.keys.stem(*split_name(name))

    def partition(self, name: str) -> int:
        """Number of the instrument's partition."""
        return partition_of(*split_name(name), self.partitions)

    def day(
        self, name: str, day: int, closes: list[float], running: bool = False, newest: bool = True
    ) -> None:
        """A session day whose n-th minute closed at `closes[n]` (NaN: without a candle)."""
        records = np.zeros(len(closes), CANDLE)
        filled = ~np.isnan(closes)
        for field, offset in (("open", 0.0), ("high", 2.0), ("low", -2.0), ("close", 0.0)):
            records[field] = np.where(filled, np.array(closes) + offset, 0)
        records["volume"] = -1 if name == INDEX else 100
        records["oi"] = -1
        records["ticks"], records["flags"] = 3 * filled, 1 * filled
        records["phase"], records["source"] = Phase.REGULAR, Source.SIM
        slots = np.flatnonzero(filled).tolist()
        header = np.zeros(1, DAY_HEADER)
        header["magic"], header["version"], header["date"] = b"RI", 1, day
        header["first_minute"], header["slots"], header["superseded"] = FIRST_MINUTE, SLOTS, not newest
        header["open_slot"] = header["confirmed_slot"] = -1
        if running:
            header["open_slot"] = slots.pop()
            records["flags"][header["open_slot"]] = 0
        if slots:
            header["confirmed_slot"] = slots[-1]
        self.client.set(self.keys.day(*split_name(name), day), header.tobytes() + records.tobytes())
        if newest:
            value = struct.pack("<IH", day, 0xFFFF) + name.encode()
            self.client.hset(self.keys.instruments(self.partition(name)), self.stem(name), value)

    def closed(self, *events: tuple[str, int, float, int]) -> None:
        """One entry of the closed stream of (instrument, minute of the day, close, revision)."""
        pairs: list[str | bytes] = []
        for name, minute, close, revision in events:
            record = np.zeros(1, CANDLE)
            record["close"], record["ticks"], record["revision"], record["flags"] = close, 1, revision, 1
            pairs += [self.stem(name), struct.pack("<IHH", FRIDAY, minute, 0) + record.tobytes()]
        self.client.execute_command("XADD", self.keys.closed(self.partition(events[0][0])), "*", *pairs)  # type: ignore[no-untyped-call]
