"""Fyers' HSM frames as its server writes them, from the format alone, without our code or the SDK's."""

from __future__ import annotations

import struct
from collections.abc import Sequence

SF_FIELDS = (
    "ltp", "vol_traded_today", "last_traded_time", "exch_feed_time", "bid_size", "ask_size", "bid_price",
    "ask_price", "last_traded_qty", "tot_buy_qty", "tot_sell_qty", "avg_trade_price", "OI", "low_price",
    "high_price", "Yhigh", "Ylow", "lower_ckt", "upper_ckt", "open_price", "prev_close_price",
)  # fmt: skip
IF_FIELDS = ("ltp", "prev_close_price", "exch_feed_time", "high_price", "low_price", "open_price")
DP_FIELDS = 30

SAME = -2147483648
"""On the wire: this field hasn't changed."""


def scrip(**fields: int) -> list[int]:
    """All 21 values of an "sf" topic; those not named are SAME."""
    return [fields.get(name, SAME) for name in SF_FIELDS]


def index(**fields: int) -> list[int]:
    """All 6 values of an "if" topic; those not named are SAME."""
    return [fields.get(name, SAME) for name in IF_FIELDS]


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("!B", len(encoded)) + encoded


def snapshot(
    topic_id: int, name: str, values: Sequence[int], multiplier: int = 1, precision: int = 2, symbol: str = ""
) -> bytes:
    """An entry that says everything of a topic."""
    exchange, token = name.split("|")[1:]
    head = (
        struct.pack("!cH", b"S", topic_id)
        + _text(name)
        + struct.pack(f"!B{len(values)}i", len(values), *values)
    )
    return (
        head + struct.pack("!HHB", 0, multiplier, precision) + _text(exchange) + _text(token) + _text(symbol)
    )


def update(topic_id: int, values: Sequence[int]) -> bytes:
    """An entry that says what changed."""
    return struct.pack(f"!cHB{len(values)}i", b"U", topic_id, len(values), *values)


def lite(topic_id: int, price: int) -> bytes:
    """An entry of lite mode: the price alone."""
    return struct.pack("!cHi", b"L", topic_id, price)


def packet(number: int, entries: Sequence[bytes]) -> bytes:
    """A data packet; the length is of what follows it, and wraps where 16 bits don't hold it."""
    body = struct.pack("!BIH", 6, number, len(entries)) + b"".join(entries)
    return struct.pack("!H", len(body) & 0xFFFF) + body


def answer(kind: int, verdict: str = "K", ack_count: int | None = None) -> bytes:
    """The answer to a request of this kind; after auth with how many data packets to acknowledge at once."""
    fields = [struct.pack("!BH", 1, len(verdict)) + verdict.encode()]
    if ack_count is not None:
        fields.append(struct.pack("!BHI", 2, 4, ack_count))
    body = struct.pack("!BB", kind, len(fields)) + b"".join(fields)
    return struct.pack("!H", len(body)) + body


def custom(code: int, message: str, kind: int) -> bytes:
    """A message in words (type 51) about a request of this kind."""
    text = message.encode()
    body = struct.pack("!BBBHi", 51, 3, 1, 4, code) + struct.pack("!BH", 2, len(text)) + text
    body += struct.pack("!BHB", 3, 1, kind)
    return struct.pack("!H", len(body)) + body


def fields_of(payload: bytes) -> tuple[int, dict[int, bytes]]:
    """(type, values by field id) of a client's request; a ping has none."""
    kind, fields, offset = payload[2], {}, 4
    for _ in range(payload[3] if len(payload) > 3 else 0):
        field, size = struct.unpack_from("!BH", payload, offset)
        fields[field] = payload[offset + 3 : offset + 3 + size]
        offset += 3 + size
    return kind, fields


def topics_of(field: bytes) -> list[str]:
    """The topic names in field 1 of a subscription."""
    names, offset = [], 2
    for _ in range(struct.unpack_from("!H", field)[0]):
        size = field[offset]
        names.append(field[offset + 1 : offset + 1 + size].decode())
        offset += 1 + size
    return names
