"""Fyers' HSM binary frames, decoded without its SDK.

Big-endian. A data packet is `u16 length, u8 6, u32 message number, u16 entries`, then the entries:

- snapshot: `u8 83, u16 topic id, u8 length and name of the topic, u8 n, n × i32, u16, u16 multiplier,
  u8 precision`, then three strings, each `u8 length, text`;
- update: `u8 85, u16 topic id, u8 n, n × i32`; a value of -2³¹ is unchanged since the topic's last entry;
- lite: `u8 76, u16 topic id, i32 last price`.

A topic's name is "sf|nse_cm|3045" for an instrument, "if|nse_cm|Nifty 50" for an index, "dp|…" for depth; its
id is the server's, for this connection. Prices are integers over 10^precision × multiplier, times are epoch
seconds.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.session.adapter import Keys
from ray_ingest.model import NULL, TickColumns

DATA = 6
UNCHANGED = -(2**31)
TOPICS = b"\x00\x00\xfe"
"""How a frame of `topics_frame` begins; no type of the broker's is 254."""

_DATA_BYTE = bytes([DATA])
_SNAPSHOT, _UPDATE, _LITE = 83, 85, 76
_PACKET = struct.Struct(">HBIH")
_ENTRY = struct.Struct(">BHB")
_SCALE = struct.Struct(">2xHB")
_PRICE = struct.Struct(">i")
# ltp, vol_traded_today, last_traded_time, last_traded_qty, OI: fields 0, 1, 2, 8 and 12 of the package's map.
_SCRIP = struct.Struct(">3i20xi12xi")
# ltp, exch_feed_time: fields 0 and 2.
_INDEX = struct.Struct(">i4xi")
_STRINGS = 3  # of a snapshot's end: exchange, token, symbol
_MAX_PRECISION = 9

_topic_names = msgspec.json.Decoder(dict[str, str])


def topics_frame(topics: Mapping[str, str]) -> bytes:
    """The symbols that topic names stand for, {"sf|nse_cm|3045": "NSE:SBIN-EQ"}, as a frame for the decoder.

    The wire puts it before the frames that need it, so that what is recorded can be decoded again."""
    return TOPICS + msgspec.json.encode(topics)


class _Topic:
    """What a connection's server has told of one topic so far; `UNCHANGED` is not told yet."""

    __slots__ = ("divisor", "instrument", "layout", "oi", "price", "qty", "time_s", "volume")

    def __init__(self, instrument: int, layout: struct.Struct | None, divisor: float) -> None:
        self.instrument = instrument
        self.layout = layout
        self.divisor = divisor
        self.price = self.volume = self.time_s = self.qty = self.oi = UNCHANGED


_Row = tuple[int, int, int, int, int, int]


class FyersDecoder:
    """See `Decoder`. An update says only what changed: a data packet that can't be read to its end leaves all
    topics in doubt. They are forgotten until their next snapshot, and `verdict` asks for a new connection."""

    def __init__(self, keys: Keys) -> None:
        self.dropped: Counter[str] = Counter()
        self.verdict: tuple[Trouble, str] | None = None
        self._keys = keys
        self._symbols: dict[str, str] = {}
        self._topics: dict[int, _Topic] = {}

    def decode(self, payload: bytes, received_ms: int) -> TickColumns:
        """n ticks of a data frame, several packets in one included, in its order.

        One for each entry whose topic has a price and a time, changed or not; `oi` is as the broker counts.
        """
        rows: list[_Row] = []
        divisors: list[float] = []
        if payload[:3] == TOPICS:
            self._learn(payload[3:])
        else:
            try:
                self._packets(payload, rows, divisors)
            except (struct.error, IndexError, _Unreadable):
                self.dropped["malformed"] += 1
                self._doubt("a data frame could not be read to its end")
        return self._columns(rows, divisors, received_ms)

    def _learn(self, names: bytes) -> None:
        try:
            self._symbols.update(_topic_names.decode(names))
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.dropped["malformed"] += 1

    def missed(self) -> None:
        """Frames before the next one were lost, and with them what changed."""
        self._doubt("frames were lost, and what changed in them")

    def _doubt(self, why: str) -> None:
        self._topics.clear()
        self.verdict = (Trouble.PROTOCOL, why)

    def _packets(self, payload: bytes, rows: list[_Row], divisors: list[float]) -> None:
        offset = 0
        while offset < len(payload) or not payload:
            if payload[offset + 2 : offset + 3] != _DATA_BYTE:
                self.dropped["malformed"] += 1  # no entry of a data packet is lost with it
                return
            entries = _PACKET.unpack_from(payload, offset)[3]
            offset = self._entries(payload, offset + _PACKET.size, entries, rows, divisors)

    def _entries(
        self, payload: bytes, offset: int, entries: int, rows: list[_Row], divisors: list[float]
    ) -> int:
        """Reads so many entries from `offset`; returns where they end. What is no tick is counted."""
        topics = self._topics
        for _ in range(entries):
            kind, topic_id, count = _ENTRY.unpack_from(payload, offset)
            if kind == _UPDATE:
                start = offset + _ENTRY.size
                offset = start + 4 * count
                if offset > len(payload):
                    raise _Unreadable
                topic = topics.get(topic_id)
                if topic is None:
                    self.dropped["unknown"] += 1
                    continue
                _apply(topic, payload, start, count)
            elif kind == _SNAPSHOT:
                offset, topic = self._snapshot(payload, offset, topic_id, count)
                if topic is None:
                    self.dropped["unknown"] += 1
                    continue
            elif kind == _LITE:
                offset = self._lite(payload, offset, topic_id)
                continue
            else:
                raise _Unreadable
            if topic.price <= 0 or not topic.divisor:
                self.dropped["no_price"] += 1
            elif topic.time_s <= 0:
                self.dropped["no_time"] += 1
            else:
                rows.append((topic.instrument, topic.time_s, topic.price, topic.qty, topic.volume, topic.oi))
                divisors.append(topic.divisor)
        return offset

    def _snapshot(
        self, payload: bytes, offset: int, topic_id: int, name_size: int
    ) -> tuple[int, _Topic | None]:
        """Where the snapshot ends, and its topic: None if nobody here knows its name."""
        offset += _ENTRY.size
        name = payload[offset : offset + name_size].decode("utf-8", "replace")
        offset += name_size
        count = payload[offset]
        values = offset + 1
        offset = values + 4 * count
        multiplier, precision = _SCALE.unpack_from(payload, offset)
        offset += _SCALE.size
        for _ in range(_STRINGS):
            offset += 1 + payload[offset]
        if offset > len(payload):
            raise _Unreadable
        instrument = self._keys.ids.get(self._symbols.get(name, ""))
        if instrument is None:
            self._topics.pop(topic_id, None)  # the id is this topic's now
            return offset, None
        divisor = float(10**precision * multiplier) if precision <= _MAX_PRECISION else 0.0
        topic = _Topic(instrument, {"sf": _SCRIP, "if": _INDEX}.get(name[:2]), divisor)
        _apply(topic, payload, values, count)
        self._topics[topic_id] = topic
        return offset, topic

    def _lite(self, payload: bytes, offset: int, topic_id: int) -> int:
        """Keeps the price for the next update; a lite entry itself has no time."""
        offset += 3
        price = _PRICE.unpack_from(payload, offset)[0]
        topic = self._topics.get(topic_id)
        self.dropped["unknown" if topic is None else "no_time"] += 1
        if topic is not None and topic.layout is not None and price != UNCHANGED:
            topic.price = price
        return offset + _PRICE.size

    def _columns(self, rows: list[_Row], divisors: list[float], received_ms: int) -> TickColumns:
        table = np.array(rows, np.int64).reshape(-1, 6).T
        instrument, time_s, price, qty, volume, oi = table
        known = volume >= 0
        return TickColumns(
            instrument.astype(np.uint32),
            time_s * 1000,
            price / np.array(divisors, np.float64),
            # Without the day's volume beside it a quantity would be taken for a tape's and summed.
            np.where(known & (qty >= 0), qty, NULL),
            np.where(known, volume, NULL),
            np.where(oi >= 0, oi, NULL),
            np.full(len(rows), received_ms, np.int64),
        )


class _Unreadable(Exception):  # noqa: N818 — no error that anyone sees
    """The rest of the packet can't be read."""


def _apply(topic: _Topic, payload: bytes, offset: int, count: int) -> None:
    """Takes over what `count` values at `offset` say; those beyond the fields we know are skipped."""
    layout = topic.layout
    if layout is None:
        return
    if 4 * count < layout.size:  # fewer fields than we read: the rest is unchanged
        payload = payload[offset : offset + 4 * count] + _PRICE.pack(UNCHANGED) * (layout.size // 4 - count)
        offset = 0
    if layout is _INDEX:
        price, time_s = layout.unpack_from(payload, offset)
    else:
        price, volume, time_s, qty, oi = layout.unpack_from(payload, offset)
        if volume != UNCHANGED:
            topic.volume = volume
        if qty != UNCHANGED:
            topic.qty = qty
        if oi != UNCHANGED:
            topic.oi = oi
    if price != UNCHANGED:
        topic.price = price
    if time_s != UNCHANGED:
        topic.time_s = time_s
