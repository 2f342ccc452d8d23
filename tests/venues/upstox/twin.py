"""What a frame of Upstox's says, the SDK's slow way: its dict, read value by value."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from upstox_client.feeder.proto.MarketDataFeedV3_pb2 import FeedResponse


class TwinTick(NamedTuple):
    """One tick; None where absent, -1 for an open interest that is no 64-bit integer."""

    event_time_ms: int
    last_price: float
    last_qty: int | None
    day_volume: int | None
    oi: int | None


class Twin:
    """`ticks` by key and `dropped` by reason, of one frame and the keys subscribed to."""

    def __init__(self, payload: bytes, keys: set[str]) -> None:
        self.ticks: dict[str, TwinTick] = {}
        self.dropped: Counter[str] = Counter()
        try:
            message = MessageToDict(FeedResponse.FromString(payload))
        except DecodeError:
            self.dropped["malformed"] += 1
            return
        for key, feed in message.get("feeds", {}).items():
            tick = self._tick(key, feed, keys)
            if isinstance(tick, str):
                self.dropped[tick] += 1
            else:
                self.ticks[key] = tick

    def _tick(self, key: str, feed: dict[str, Any], keys: set[str]) -> TwinTick | str:
        if key not in keys:
            return "unknown"
        full = feed.get("fullFeed", {})
        quote = full.get("marketFF") or feed.get("firstLevelWithGreeks") or {}
        last = quote.get("ltpc") or full.get("indexFF", {}).get("ltpc") or feed.get("ltpc") or {}
        price, time_ms = float(last.get("ltp", 0)), int(last.get("ltt", 0))
        if not price:
            return "no_price"
        if not time_ms:
            return "no_time"
        volume = _integer(quote.get("vtt"))
        quantity = None if volume is None else _integer(last.get("ltq"))
        return TwinTick(time_ms, price, quantity, volume, _open_interest(float(quote.get("oi", 0))))


def _integer(text: str | None) -> int | None:
    value = int(text or 0)
    return None if value in (0, -(2**63)) else value


def _open_interest(value: float) -> int | None:
    if value == 0:
        return None
    return int(value) if abs(value) < 2**63 else -1
