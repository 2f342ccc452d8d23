"""A plain reading of HSM data frames, one value at a time: slow, and with nothing of the decoder's in it."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable

from tests.venues.fyers.encoding import DP_FIELDS, IF_FIELDS, SAME, SF_FIELDS

Tick = tuple[int, int, float, int | None, int | None, int | None]
"""(instrument, event_time_ms, last_price, last_qty, day_volume, oi)"""

FIELDS = {"sf": SF_FIELDS, "if": IF_FIELDS, "dp": tuple(f"depth{i}" for i in range(DP_FIELDS))}


class ShortageError(Exception):
    """The frame ends too early."""


class Reader:
    """A cursor over bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def bytes(self, size: int) -> bytes:
        """The next so many bytes."""
        if self.at + size > len(self.data):
            raise ShortageError
        self.at += size
        return self.data[self.at - size : self.at]

    def u8(self) -> int:
        """One byte."""
        return self.bytes(1)[0]

    def u16(self) -> int:
        """Two bytes."""
        return int.from_bytes(self.bytes(2), "big")

    def i32s(self, count: int) -> list[int]:
        """So many signed values."""
        return list(struct.unpack(f"!{count}i", self.bytes(4 * count)))


class Twin:
    """Gives the ticks of frames in their order; `ids` are the instruments of symbols."""

    def __init__(self, ids: dict[str, int]) -> None:
        self.ids = ids
        self.symbols: dict[str, str] = {}
        self.topics: dict[int, dict[str, int]] = {}
        self.dropped: Counter[str] = Counter()
        self.over = False

    def ticks(self, frames: Iterable[bytes]) -> list[Tick]:
        """Of all these frames."""
        return [tick for frame in frames for tick in self._frame(frame)]

    def _frame(self, frame: bytes) -> list[Tick]:
        ticks: list[Tick] = []
        if frame.startswith(b"\0\0\xfe"):
            self._learn(frame[3:])
            return ticks
        reader = Reader(frame)
        while reader.at < len(frame) or not frame:
            if frame[reader.at + 2 : reader.at + 3] != b"\6":
                self.dropped["malformed"] += 1
                break
            try:
                self._packet(reader, ticks)
            except ShortageError:
                self.dropped["malformed"] += 1
                self.topics = {}
                self.over = True
                break
        return ticks

    def _learn(self, text: bytes) -> None:
        try:
            names = json.loads(text)
            assert all(isinstance(value, str) for value in names.values())
            self.symbols.update(names)
        except Exception:
            self.dropped["malformed"] += 1

    def _packet(self, reader: Reader, ticks: list[Tick]) -> None:
        reader.bytes(2 + 1 + 4)
        for _ in range(reader.u16()):
            kind = reader.bytes(1)
            topic_id = reader.u16()
            if kind == b"L":
                self._lite(topic_id, reader.i32s(1)[0])
                continue
            if kind == b"S":
                self._snapshot(topic_id, reader)
            elif kind == b"U":
                values = reader.i32s(reader.u8())
                if topic_id in self.topics:
                    self._take(self.topics[topic_id], values)
            else:
                raise ShortageError
            tick = self._tick(self.topics.get(topic_id))
            if isinstance(tick, str):
                self.dropped[tick] += 1
            else:
                ticks.append(tick)

    def _snapshot(self, topic_id: int, reader: Reader) -> None:
        name = reader.bytes(reader.u8()).decode("utf-8", "replace")
        values = reader.i32s(reader.u8())
        reader.u16()
        multiplier, precision = reader.u16(), reader.u8()
        for _ in range(3):
            reader.bytes(reader.u8())
        self.topics.pop(topic_id, None)
        if self.symbols.get(name) in self.ids:
            kind = ("sf", "if", "dp").index(name[:2]) if name[:2] in FIELDS else 2
            topic = {
                "instrument": self.ids[self.symbols[name]], "multiplier": multiplier,
                "precision": precision, "kind": kind,
            }  # fmt: skip
            self._take(topic, values)
            self.topics[topic_id] = topic

    def _take(self, topic: dict[str, int], values: list[int]) -> None:
        for field, value in zip(FIELDS[("sf", "if", "dp")[topic["kind"]]], values, strict=False):
            if value != SAME:
                topic[field] = value

    def _lite(self, topic_id: int, price: int) -> None:
        topic = self.topics.get(topic_id)
        self.dropped["no_time" if topic is not None else "unknown"] += 1
        if topic is not None:
            self._take(topic, [price])

    def _tick(self, topic: dict[str, int] | None) -> Tick | str:
        if topic is None:
            return "unknown"
        if topic.get("ltp", 0) <= 0 or topic["multiplier"] == 0 or topic["precision"] > 9:
            return "no_price"
        seconds = topic.get("last_traded_time" if topic["kind"] == 0 else "exch_feed_time", 0)
        if seconds <= 0:
            return "no_time"
        price = topic["ltp"] / (10 ** topic["precision"] * topic["multiplier"])
        volume, qty, oi = (topic.get(name, -1) for name in ("vol_traded_today", "last_traded_qty", "OI"))
        return (
            topic["instrument"],
            seconds * 1000,
            price,
            qty if qty >= 0 and volume >= 0 else None,
            volume if volume >= 0 else None,
            oi if oi >= 0 else None,
        )
