"""Dhan's packets as its documentation gives them, whole structs at a time: independent of our decoder."""

from __future__ import annotations

import struct

SEGMENT_NUMBERS = {
    "IDX_I": 0, "NSE_EQ": 1, "NSE_FNO": 2, "NSE_CURRENCY": 3,
    "BSE_EQ": 4, "MCX_COMM": 5, "BSE_CURRENCY": 7, "BSE_FNO": 8,
}  # fmt: skip
IST_SHIFT_S = 19_800

DEPTH = struct.pack("<IIHHff", 75, 150, 1, 2, 99.95, 100.05) * 5


def _instrument(key: str) -> tuple[int, int]:
    segment, security = key.split(":")
    return SEGMENT_NUMBERS[segment], int(security)


def ticker(key: str, price: float, traded_s: int) -> bytes:
    """16 bytes; `traded_s` as it stands on the wire."""
    return struct.pack("<BHBIfI", 2, 16, *_instrument(key), price, traded_s)


def quote(key: str, price: float, quantity: int, traded_s: int, volume: int) -> bytes:
    """50 bytes: average and day's prices and the quantities in the book are made up."""
    return struct.pack(
        "<BHBIfHIfIIIffff", 4, 50, *_instrument(key), price, quantity & 0xFFFF, traded_s,
        price, volume, 900, 1_000, price, price, price, price,
    )  # fmt: skip


def full(key: str, price: float, quantity: int, traded_s: int, volume: int, oi: int) -> bytes:
    """162 bytes: a quote with open interest and five levels of depth."""
    return struct.pack(
        "<BHBIfHIfIIIIIIffff100s", 8, 162, *_instrument(key), price, quantity & 0xFFFF, traded_s,
        price, volume, 900, 1_000, oi, oi, oi, price, price, price, price, DEPTH,
    )  # fmt: skip


def open_interest(key: str, oi: int) -> bytes:
    """12 bytes, sent beside quotes."""
    return struct.pack("<BHBII", 5, 12, *_instrument(key), oi)


def previous_close(key: str, price: float, oi: int) -> bytes:
    """16 bytes, sent once when an instrument is subscribed to."""
    return struct.pack("<BHBIfI", 6, 16, *_instrument(key), price, oi)


def market_status() -> bytes:
    """8 bytes: a header and nothing more."""
    return struct.pack("<BHBI", 7, 8, 0, 0)


def disconnect(reason: int) -> bytes:
    """10 bytes: 805 too many connections, 806 no subscription, 807 token expired, 808 and 809 not let in."""
    return struct.pack("<BHBIH", 50, 10, 0, 0, reason)
