"""Mutated frames of Dhan's, and what the decoder must make of each."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.brokers.dhan import ADAPTER
from ray_ingest.feeds.session.adapter import Keys, Subscription
from ray_ingest.model import NULL, TickColumns
from tests.venues.dhan import packets
from tests.venues.dhan.twin import Twin, TwinTick

RECEIVED_MS = 1_765_771_200_500  # 2025-12-15 09:30:00.5 IST
TICK_SIZES = {
    "NSE_EQ:2885": "0.05", "BSE_EQ:500325": "0.05", "NSE_FNO:2885": "0.05", "BSE_FNO:812345": "0.01",
    "NSE_CURRENCY:1450": "0.0025", "BSE_CURRENCY:77": "0.0025", "MCX_COMM:430106": "1", "IDX_I:13": "0.01",
}  # fmt: skip
"""The subscribed ones; NSE_EQ:2885 and NSE_FNO:2885 are two instruments."""

KEYS = Keys("dhan")
KEYS.learn(
    Subscription(f"{key.split(':')[0]}|{key.split(':')[1]}", key, 0.05 if key == "IDX_I:13" else float(size))
    for key, size in TICK_SIZES.items()
)
_NAMES = {instrument: key for key, instrument in KEYS.ids.items()}


def check(payload: bytes) -> None:
    """Raises AssertionError when the decoder raises or differs from the twin in tick, drop or verdict."""
    twin = Twin(payload, RECEIVED_MS, TICK_SIZES)
    decoder = ADAPTER.decoder(KEYS)
    try:
        columns = decoder.decode(payload, RECEIVED_MS)
    except Exception as error:
        raise AssertionError(f"{payload.hex()}: {error!r}") from error
    ticks = _ticks(columns)
    assert ticks == twin.ticks, f"{payload.hex()}: {ticks} is not {twin.ticks}"
    assert decoder.dropped == twin.dropped, f"{payload.hex()}: {decoder.dropped} is not {twin.dropped}"
    expired = twin.reason in (807, 808, 809, 810)
    trouble = None if twin.reason is None else Trouble.TOKEN if expired else Trouble.REFUSED
    verdict = decoder.verdict and decoder.verdict[0]
    assert verdict == trouble, f"{payload.hex()}: {verdict} is not {trouble}"


def _ticks(columns: TickColumns) -> list[TwinTick]:
    """The decoder's columns as the twin's ticks."""
    assert (columns.receive_time_ms == RECEIVED_MS).all()
    lists = [getattr(columns, name).tolist() for name in ("instrument", *TwinTick._fields[1:])]
    return [
        TwinTick(_NAMES[instrument], time_ms, price, *(None if q == NULL else q for q in quantities))
        for instrument, time_ms, price, *quantities in zip(*lists, strict=True)
    ]


def mutants(seed: int, n: int) -> Iterator[bytes]:
    """n frames, the same ones for the same seed: good, damaged, cut, joined, and noise."""
    rng = random.Random(seed)
    for _ in range(n):
        frame = bytearray(b"".join(_packet(rng) for _ in range(rng.choice((1, 1, 2, 3, 8)))))
        for mutate in rng.choices(_MUTATIONS, k=rng.choice((0, 1, 1, 1, 2))):
            mutate(rng, frame)
        yield bytes(frame)


def _packet(rng: random.Random) -> bytes:
    key = rng.choice((*TICK_SIZES, "NSE_EQ:1", "MCX_COMM:2885"))
    price = rng.choice((0.0, 0.05, 23.4525, 100.05, 84_929.36, 524_287.95, rng.uniform(0.0, 3e5)))
    age_s = rng.choice((0, 0, 0, 1, 9, 10, 11, 3_600, 19_800, 19_795, 86_400))
    traded_s = rng.choice((0, *[RECEIVED_MS // 1000 + packets.IST_SHIFT_S - age_s] * 20))
    quantity, volume, oi = rng.randrange(70_000), rng.randrange(2**32), rng.randrange(2**32)
    kind = rng.randrange(20)
    if kind < 5:
        return packets.ticker(key, price, traded_s)
    if kind < 10:
        return packets.quote(key, price, quantity, traded_s, volume)
    if kind < 13:
        return packets.full(key, price, quantity, traded_s, volume, oi)
    if kind < 16:
        return packets.open_interest(key, oi)
    if kind < 19:
        return rng.choice((packets.previous_close(key, price, oi), packets.market_status()))
    return packets.disconnect(rng.choice((804, 805, 806, 807, 808, 809, rng.randrange(2**16))))


def _flip(rng: random.Random, frame: bytearray) -> None:
    if frame:
        frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)


def _set_byte(rng: random.Random, frame: bytearray) -> None:
    if frame:
        frame[rng.randrange(min(len(frame), 16))] = rng.choice((0, 1, 4, 5, 8, 16, 50, 127, 128, 255))


def _cut(rng: random.Random, frame: bytearray) -> None:
    del frame[rng.randrange(len(frame) + 1) :]


def _behead(rng: random.Random, frame: bytearray) -> None:
    del frame[: rng.randrange(9)]


def _insert_noise(rng: random.Random, frame: bytearray) -> None:
    place = rng.randrange(len(frame) + 1)
    frame[place:place] = rng.randbytes(rng.randrange(1, 24))


def _set_price(rng: random.Random, frame: bytearray) -> None:
    odd = (math.nan, math.inf, -math.inf, -0.0, -1.0, 1e-45, 3.4e38, 0.0049, 0.025)
    frame[8:12] = struct.pack("<f", rng.choice(odd))


def _set_length(rng: random.Random, frame: bytearray) -> None:
    frame[1:3] = struct.pack("<H", rng.choice((0, 2, 4, 8, 12, 16, 42, 50, 154, 162, 65_535)))


def _replace_by_noise(rng: random.Random, frame: bytearray) -> None:
    frame[:] = rng.randbytes(rng.choice((0, 1, 7, 8, 9, 40, 400)))


_MUTATIONS = (
    _flip, _flip, _set_byte, _set_byte, _cut, _behead, _insert_noise, _set_price, _set_length,
    _replace_by_noise,
)  # fmt: skip
