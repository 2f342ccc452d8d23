"""Every key name in the store, built here and nowhere else.

A candle key is a stem, `nse_fo:8765:`, and a suffix; the Lua scripts get stems and the suffix texts from this
module. `prefix` comes before everything; Redis Cluster will need a hash tag around the partition, which has
its place in `Keys.stem`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ray_ingest.core.instruments import sanitise
from ray_ingest.model import minute_code

LATEST = "_latest_:"
CONFIRMED = "_confirmed_:"


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one `redis.prefix`."""

    prefix: str = ""

    def stem(self, exchange: str, token: str) -> str:
        """What all keys of one instrument begin with: "nse_fo:8765:"."""
        return f"{self.prefix}{exchange.lower()}:{sanitise(token)}:"

    def latest(self, exchange: str, token: str) -> str:
        """LIST [open, high, low, close, volume, minute code] of the running candle."""
        return self.stem(exchange, token) + LATEST

    def confirmed(self, exchange: str, token: str) -> str:
        """LIST like `latest`, of the last closed candle."""
        return self.stem(exchange, token) + CONFIRMED

    def minute(self, exchange: str, token: str, minute_of_day: int) -> str:
        """LIST [open, high, low, close, volume] of a closed candle: "nse_fo:8765:91500:"."""
        return f"{self.stem(exchange, token)}{minute_code(minute_of_day)}:"

    def day(self, exchange: str, token: str, date: int) -> str:
        """STRING of a `DAY_HEADER` and `CANDLE` records, one a minute; `date` is YYYYMMDD."""
        return f"{self.stem(exchange, token)}{date}"

    def partitions(self) -> str:
        """STRING: how many partitions this store is cut into."""
        return f"{self.prefix}ray_ingest:partitions"

    def meta(self, partition: int) -> str:
        """HASH: `owner`, `epoch`, `committed_ms`, and `offset:…`, `since:…`, `count:…` of each producer."""
        return f"{self.prefix}ray_ingest:meta:{partition}"

    def instruments(self, partition: int) -> str:
        """HASH: stem → newest session date, open minute, and the name as its feed wrote it."""
        return f"{self.prefix}ray_ingest:instruments:{partition}"

    def closed(self, partition: int) -> str:
        """STREAM of closed and amended candles."""
        return f"{self.prefix}ray_ingest:closed:{partition}"

    def gaps(self, partition: int) -> str:
        """STREAM of intervals in which ticks are known to be missing."""
        return f"{self.prefix}ray_ingest:gaps:{partition}"

    def probe(self, name: str) -> str:
        """STRING that is there for a moment while somebody tries whether the store can be written."""
        return f"{self.prefix}ray_ingest:probe:{name}"
