"""What a frame of Dhan's must decode to, said a second time: slices and fractions, a packet at a time."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from tests.venues.dhan.packets import SEGMENT_NUMBERS

NAMES = {number: name for name, number in SEGMENT_NUMBERS.items()}
SIZES = {2: 16, 3: 112, 4: 50, 5: 12, 6: 16, 7: 8, 8: 162, 50: 10}
IST_S = 19_800


class TwinTick(NamedTuple):
    """One tick; None where the packet says nothing."""

    key: str
    event_time_ms: int
    last_price: float
    last_qty: int | None
    day_volume: int | None
    oi: int | None


class Packet(NamedTuple):
    """A packet of known code and right length, its header included."""

    code: int
    key: str
    bytes: bytes


class Twin:
    """Of one frame, the first on its connection: `ticks`, `dropped` by reason, `reason` of a disconnect."""

    def __init__(self, payload: bytes, received_ms: int, tick_sizes: Mapping[str, str]) -> None:
        self.ticks: list[TwinTick] = []
        self.dropped: Counter[str] = Counter()
        self.reason: int | None = None
        self._oi: dict[str, int] = {}
        self._received_s = received_ms / 1000
        self._is_ist = False
        self._tick_sizes = tick_sizes
        for packet in self._split(payload):
            if packet.code in (2, 4, 8):
                self._trade(packet)
            elif packet.code == 5:
                self._open_interest(packet)
            elif packet.code == 50 and self.reason is None:
                self.reason = int.from_bytes(packet.bytes[8:10], "little")

    def _split(self, payload: bytes) -> Iterator[Packet]:
        while payload:
            size = SIZES.get(payload[0])
            length = int.from_bytes(payload[1:3], "little")
            if len(payload) < 8 or (size and (len(payload) < size or length not in (size, size - 8))):
                self.dropped["malformed"] += 1
                return
            if size is None:
                self.dropped["malformed"] += 1
                payload = payload[max(length, 8) :]
                continue
            segment = NAMES.get(payload[3], f"?{payload[3]}")
            yield Packet(payload[0], f"{segment}:{int.from_bytes(payload[4:8], 'little')}", payload[:size])
            payload = payload[size:]

    def _open_interest(self, packet: Packet) -> None:
        if packet.key not in self._tick_sizes:
            self.dropped["unknown"] += 1
        else:
            self._oi[packet.key] = int.from_bytes(packet.bytes[8:12], "little")

    def _trade(self, packet: Packet) -> None:
        fault, price, traded_s = self._judged(packet)
        if fault:
            self.dropped[fault] += 1
            return
        quantity = volume = None
        oi = self._oi.get(packet.key)
        if packet.code != 2:
            quantity = int.from_bytes(packet.bytes[12:14], "little")
            volume = int.from_bytes(packet.bytes[22:26], "little")
        if packet.code == 8:
            oi = int.from_bytes(packet.bytes[34:38], "little")
        if packet.key.startswith(("NSE_EQ", "BSE_EQ", "IDX_I")):
            oi = None
        time_ms = (traded_s - IST_S) * 1000
        self.ticks.append(TwinTick(packet.key, time_ms, price, quantity, volume, oi))

    def _judged(self, packet: Packet) -> tuple[str, float, int]:
        """(reason to drop it or "", price, trade time in seconds as on the wire)."""
        if packet.key not in self._tick_sizes:
            return "unknown", 0.0, 0
        (raw,) = struct.unpack("<f", packet.bytes[8:12])
        if not 0 < raw < float("inf"):
            return "no_price", 0.0, 0
        tick_size = Fraction(self._tick_sizes[packet.key])
        ticks = round(Fraction(raw) / tick_size)
        if not ticks:
            return "no_price", 0.0, 0
        start = 12 if packet.code == 2 else 14
        traded_s = int.from_bytes(packet.bytes[start : start + 4], "little")
        ahead_s = traded_s - self._received_s
        if 1_800 < ahead_s < IST_S + 1_800:
            self._is_ist = True
        ambiguous = not self._is_ist and -86_400 < ahead_s <= 1_800
        return ("no_time" if ambiguous or not traded_s else ""), float(ticks * tick_size), traded_s
