"""Mutated HSM frames: whatever they hold, the decoder gives the ticks and counts of its plain twin."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from ray_ingest.feeds.brokers.fyers_frames import FyersDecoder, topics_frame
from ray_ingest.feeds.session.adapter import Keys, Subscription
from ray_ingest.model import NULL, TickColumns
from tests.venues.fyers import encoding as hsm
from tests.venues.fyers.twin import Tick, Twin

TOPICS = {
    "sf|nse_cm|3045": "NSE:SBIN-EQ",
    "sf|nse_fo|8765": "NSE:NIFTY25DECFUT",
    "if|nse_cm|Nifty 50": "NSE:NIFTY50-INDEX",
    "dp|nse_cm|3045": "NSE:SBIN-EQ",
}
SUBSCRIPTIONS = (
    Subscription("NSE_EQ|3045", "NSE:SBIN-EQ"),
    Subscription("NSE_FO|8765", "NSE:NIFTY25DECFUT"),
    Subscription("NSE_INDEX|Nifty 50", "NSE:NIFTY50-INDEX"),
)
KEYS = Keys("fyers")
KEYS.learn(SUBSCRIPTIONS)
NOW_S = 1_765_770_000
EXTREMES = (0, 1, 2, 6, 20, 21, 22, 52, 76, 83, 85, 127, 128, 254, 255)


def _quote(step: int) -> list[int]:
    return hsm.scrip(
        ltp=54_321 + step, vol_traded_today=10_000 + step, last_traded_time=NOW_S + step,
        exch_feed_time=NOW_S + step, bid_price=54_320, last_traded_qty=5 + step, OI=75 * step,
    )  # fmt: skip


def _entries(step: int) -> list[bytes]:
    changed = hsm.scrip(ltp=54_400 + step, vol_traded_today=20_000 + step, last_traded_time=NOW_S + 60 + step)
    level = hsm.index(ltp=2_600_000 + step, exch_feed_time=NOW_S + step)
    return [
        hsm.snapshot(1, "sf|nse_cm|3045", _quote(step), symbol="SBIN"),
        hsm.snapshot(2, "sf|nse_fo|8765", _quote(step), 1, 4),
        hsm.snapshot(3, "if|nse_cm|Nifty 50", level),
        hsm.snapshot(4, "dp|nse_cm|3045", list(range(hsm.DP_FIELDS))),
        hsm.snapshot(5, "sf|nse_cm|9999", _quote(step)),
        hsm.update(1, changed),
        hsm.update(2, changed[:9]),
        hsm.update(3, level),
        hsm.update(3, level[:2]),
        hsm.update(4, [7] * hsm.DP_FIELDS),
        hsm.update(9, changed),
        hsm.lite(1, 54_500 + step),
        hsm.lite(3, 2_700_000 + step),
        hsm.lite(9, 1),
    ]


ENTRIES = [_entries(step) for step in range(3)]
FIRST = hsm.packet(1, ENTRIES[0][:4])
LAST = hsm.packet(9, [hsm.update(i, [hsm.SAME] * 21) for i in (1, 2, 3)])
"""Comes after the mutant: it says what state the mutant left."""


def mutants(seed: int, n: int) -> Iterator[bytes]:
    """n frames of random entries, most of them damaged."""
    rng = random.Random(seed)
    for number in range(n):
        entries = rng.choices(ENTRIES[rng.randrange(3)], k=rng.randint(0, 5))
        frame = bytearray(hsm.packet(number & 0xFFFFFFFF, entries))
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            frame = _damaged(frame, rng)
        yield bytes(frame)


def _damaged(frame: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(frame) + 1)
    kind = rng.randrange(8)
    if kind == 0:
        return frame[:at]
    if kind == 1:
        return frame[:at] + rng.randbytes(rng.randint(1, 9)) + frame[at:]
    if kind == 2:
        return frame[:at] + frame[at + rng.randint(1, 9) :]
    if kind == 3:
        return frame + hsm.packet(7, rng.choices(ENTRIES[1], k=rng.randint(0, 3)))
    if kind == 4:
        return bytearray(rng.randbytes(rng.randint(0, 60)))
    if kind == 5 and len(frame) >= 9:
        struct.pack_into("!H", frame, 7, rng.choice((0, 1, 5, 255, 65_535)))
    elif kind == 6 and at < len(frame):
        frame[at] = rng.choice(EXTREMES)
    elif at < len(frame):
        frame[at] ^= 1 << rng.randrange(8)
    return frame


def check(payload: bytes) -> int:
    """The ticks that this frame gives to a connection that has snapshots; raises AssertionError where decoder
    and twin differ in it or in what follows."""
    frames = [topics_frame(TOPICS), FIRST, payload, LAST]
    decoder, twin = FyersDecoder(KEYS), Twin(KEYS.ids)
    blocks = [decoder.decode(frame, NOW_S * 1000) for frame in frames]
    ours, theirs = [tick for block in blocks for tick in rows(block)], twin.ticks(frames)
    assert ours == theirs, f"{payload.hex()}: {ours} is not {theirs}"
    assert decoder.dropped == twin.dropped, f"{payload.hex()}: {decoder.dropped} is not {twin.dropped}"
    assert (decoder.verdict is not None) == twin.over, payload.hex()
    return len(blocks[2])


def rows(block: TickColumns) -> list[Tick]:
    """A block as the twin's ticks."""
    columns = (
        block.instrument,
        block.event_time_ms,
        block.last_price,
        block.last_qty,
        block.day_volume,
        block.oi,
    )
    return [
        (instrument, time_ms, price, *(None if value == NULL else value for value in quantities))
        for instrument, time_ms, price, *quantities in zip(*(c.tolist() for c in columns), strict=True)
    ]
