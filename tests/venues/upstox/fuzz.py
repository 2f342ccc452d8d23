"""Mutated frames of Upstox's, and what the decoder must make of each."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Iterator

from ray_ingest.feeds.brokers.upstox import ADAPTER
from ray_ingest.feeds.session.adapter import Keys, Subscription
from ray_ingest.model import NULL, TickColumns
from tests.venues.upstox import encoding
from tests.venues.upstox.twin import Twin, TwinTick
from tests.venues.venue import VenueTick

RECEIVED_MS = 1_765_771_200_500  # 2025-12-15 09:30:00.5 IST
KNOWN = ("NSE_EQ|INE002A01018", "NSE_FO|8765", "NSE_FO|51460", "NSE_INDEX|Nifty 50", "BSE_EQ|INE027H01010")
KEYS = Keys("upstox")
KEYS.learn(Subscription(key, key) for key in KNOWN)
_NAMES = {instrument: key for key, instrument in KEYS.ids.items()}

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_PRICES = (0.0, -0.0, 0.05, 24_836.3, 100.0, -1.0, math.nan, math.inf, -math.inf, 1e300, 5e-324, 2.0**53)
_INTEGERS = (0, 1, 75, RECEIVED_MS, -1, 2**53, 2**63 - 1, -(2**63), 1_765_771_200, 2**31)


def check(payload: bytes) -> None:
    """Raises AssertionError when the decoder raises or differs from the twin in tick or drop."""
    twin = Twin(payload, set(KNOWN))
    decoder = ADAPTER.decoder(KEYS)
    try:
        columns = decoder.decode(payload, RECEIVED_MS)
    except Exception as error:
        raise AssertionError(f"{payload.hex()}: {error!r}") from error
    assert decoder.dropped == twin.dropped, f"{payload.hex()}: {decoder.dropped} is not {twin.dropped}"
    ticks = by_key(columns)
    # As text, since NaN isn't equal to itself and -0.0 is equal to 0.0.
    assert repr(sorted(ticks.items())) == repr(sorted(twin.ticks.items())), (
        f"{payload.hex()}: {ticks} is not {twin.ticks}"
    )
    assert decoder.verdict is None


def by_key(columns: TickColumns) -> dict[str, TwinTick]:
    """The decoder's columns as the twin's ticks."""
    assert (columns.receive_time_ms == RECEIVED_MS).all()
    lists = [getattr(columns, name).tolist() for name in ("instrument", *TwinTick._fields)]
    ticks = {
        _NAMES[instrument]: TwinTick(time_ms, price, *(None if q == NULL else q for q in quantities))
        for instrument, time_ms, price, *quantities in zip(*lists, strict=True)
    }
    assert len(ticks) == len(columns)
    return ticks


def mutants(seed: int, n: int) -> Iterator[bytes]:
    """n frames, the same ones for the same seed: good, hostile, damaged, cut, joined, and noise."""
    rng = random.Random(seed)
    for _ in range(n):
        frame = bytearray(rng.choice(_SOURCES)(rng))
        for mutate in rng.choices(_MUTATIONS, k=rng.choice((0, 0, 1, 1, 3))):
            mutate(rng, frame)
        yield bytes(frame)


def _honest(rng: random.Random) -> bytes:
    """As the broker writes them, with values that it shouldn't send among them."""

    def pick(choices: tuple[int, ...]) -> int | None:
        return rng.choice(choices) if rng.random() < 0.2 else rng.randrange(10_000_000)

    ticks = [
        VenueTick(
            key,
            rng.choice(_PRICES) if rng.random() < 0.1 else rng.randrange(1, 10**7) / 20,
            pick(_INTEGERS),
            rng.choice(_INTEGERS) if rng.random() < 0.1 else RECEIVED_MS - rng.randrange(60_000),
            pick(_INTEGERS),
            pick(_INTEGERS),
        )
        for key in rng.sample(KNOWN if rng.random() < 0.7 else (*KNOWN, "NSE_FO|1"), rng.randrange(1, 5))
    ]
    return encoding.frame(ticks, rng.choice(("ltpc", *encoding.MODES)), rng.randrange(2))


def _odd(rng: random.Random) -> bytes:
    """Well-formed protobuf that no broker writes: fields missing, twice, unknown, or of another wire type."""
    entries = []
    for _ in range(rng.randrange(1, 5)):
        key = field(1, LENGTH, rng.choice((*KNOWN, "", "NSE_FO|1")).encode())
        value = field(2, LENGTH, _feed(rng))
        parts = rng.choice(
            ((key, value),) * 6 + ((value, key), (key,), (value,), (key, value, value), (key, key, value))
        )
        entries.append(field(2, LENGTH, b"".join(parts)))
    return field(1, VARINT, rng.randrange(4)) + b"".join(entries) + field(3, VARINT, RECEIVED_MS)


def _feed(rng: random.Random) -> bytes:
    quote = rng.random() < 0.3
    trade = field(1, LENGTH, _trade(rng))
    if not quote:
        return trade * rng.choice((1, 1, 1, 1, 0, 2)) + field(4, VARINT, rng.choice((0, 1, 9, 2**64 - 1)))
    if rng.random() < 0.5:
        greeks = trade + field(4, VARINT, rng.choice(_INTEGERS)) + field(5, FIXED64, rng.choice(_PRICES))
        return field(3, LENGTH, greeks) + trade * rng.choice((0, 0, 1))
    market = trade + field(6, VARINT, rng.choice(_INTEGERS)) + field(7, FIXED64, rng.choice(_PRICES))
    return field(2, LENGTH, field(rng.choice((1, 1, 2)), LENGTH, market)) + trade * rng.choice((0, 0, 1))


def _trade(rng: random.Random) -> bytes:
    numbers = rng.choice(((1, 2, 3, 4),) * 16 + ((1, 2), (1, 1, 2), (1, 2, 2), (1,), (2,), (2, 1), (1, 2, 9)))
    parts = []
    for number in numbers:
        usual = FIXED64 if number in (1, 4) else VARINT
        wire = usual if rng.random() < 0.95 else rng.choice((VARINT, FIXED64, LENGTH, FIXED32))
        value: float | bytes = rng.choice(_INTEGERS)
        if wire == LENGTH:  # read as packed values where a field is repeated
            value = rng.choice(
                (b"", *(struct.pack("<d", 100.05) * n for n in (1, 2)), b"\x01", b"\x01\x02\x03")
            )
        elif wire == FIXED64:
            value = rng.choice(_PRICES)
        parts.append(field(number, wire, value))
    return b"".join(parts)


def field(number: int, wire: int, value: float | bytes) -> bytes:
    """One field of a protobuf message."""
    tag = varint(number << 3 | wire)
    if isinstance(value, bytes):
        return tag + varint(len(value)) + value
    if wire == VARINT:
        return tag + varint(int(value) % 2**64)
    return tag + struct.pack("<d" if wire == FIXED64 else "<f", value if wire == FIXED64 else 1.0)


def varint(value: int) -> bytes:
    """A whole number ≥ 0 in protobuf's groups of seven bits."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(200))


def _set(rng: random.Random, frame: bytearray) -> None:
    if frame:
        frame[rng.randrange(len(frame))] = rng.choice((rng.randrange(256), *_TAGS))


def _flip(rng: random.Random, frame: bytearray) -> None:
    if frame:
        frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)


def _cut(rng: random.Random, frame: bytearray) -> None:
    del frame[rng.randrange(len(frame) + 1) :]


def _remove(rng: random.Random, frame: bytearray) -> None:
    start = rng.randrange(len(frame) + 1)
    del frame[start : start + rng.choice((1, 2, 7, 9))]


def _insert(rng: random.Random, frame: bytearray) -> None:
    start = rng.randrange(len(frame) + 1)
    frame[start:start] = rng.randbytes(rng.choice((1, 2, 9)))


def _join(rng: random.Random, frame: bytearray) -> None:
    frame += rng.choice(_SOURCES)(rng)


_TAGS = (0x08, 0x09, 0x0A, 0x10, 0x12, 0x18, 0x1A, 0x20, 0x21)
_SOURCES: tuple[Callable[[random.Random], bytes], ...] = (_honest, _honest, _odd, _odd, _odd, _noise)
_MUTATIONS = (_set, _set, _flip, _cut, _remove, _insert, _join)
