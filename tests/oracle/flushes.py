"""The small world the store is tested in, where everything collides, and commits as an owner makes them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import redis
from hypothesis import strategies as st

from ray_ingest.core.aggregate import PlacedTicks, aggregate
from ray_ingest.core.gap_marks import Gap
from ray_ingest.errors import StoreError
from ray_ingest.model import ROW, TICK, date_number
from ray_ingest.store.expiry import Expiry
from ray_ingest.store.keys import Keys
from ray_ingest.store.partition import Flush, Group, PartitionStore
from ray_ingest.store.scripts import script_texts
from tests.oracle.candle_oracle import Tick

KEYS = Keys("t:")
INSTRUMENTS = ("NSE_FO|8765", "NSE_INDEX|Nifty 50", "TAPE|X", "MIX|Y")
PHASES = {533: 1, 536: 2, 538: 2, 540: 1, 541: 1, 555: 2, 556: 2, 557: 2, 558: 3, 560: 3, 562: 4, 566: 2}
"""The minutes ticks fall in, and their phases; the hours begin as `HOURS` and may grow to all of them."""

HOURS = (540, 561)
CANDLE_MASK = np.array([False, False, True, True, False])
DAY0 = 20_000
PRICES = st.sampled_from([100.0, 100.05, 99.95, 0.1 + 0.2, 1e-7, 123456789.15, 2e22, 1 / 3])

MARKS = st.tuples(
    st.integers(0, len(INSTRUMENTS) - 1), st.integers(DAY0, DAY0 + 2), st.sampled_from(list(PHASES))
)
GAPS = st.builds(
    Gap,
    producer=st.sampled_from(["a", "b:c"]),
    from_ms=st.just(1_728_000_000_001) | st.integers(-1, 2**53 - 1),
    to_ms=st.integers(0, 2**53 - 1),
    reason=st.just("restart"),
    instrument=st.sampled_from(["", *INSTRUMENTS]),
    missing=st.integers(-1, 2**53 - 1),
)

Sent = tuple[int, Tick]
Order = tuple[int, int, int]
"""Instrument number, day and minute to close, or to mark."""


@st.composite
def ticks_of(draw: st.DrawFn) -> Sent:
    """An instrument's number and a tick of it: with cumulative volume, with quantities, both or neither."""
    instrument = draw(st.integers(0, len(INSTRUMENTS) - 1))
    minute = draw(st.sampled_from(list(PHASES)))
    volume = draw(st.integers(0, 12))
    if instrument in (1, 2) or (instrument == 3 and draw(st.booleans())):
        volume = -1
    return instrument, Tick(
        day=DAY0 + draw(st.integers(0, 2)),
        minute=minute,
        ms=draw(st.integers(0, 3)),
        price=draw(PRICES),
        qty=draw(st.integers(-1, 5)) if instrument >= 2 else -1,
        volume=volume,
        oi=draw(st.integers(-1, 3)),
        phase=PHASES[minute],
        source=draw(st.sampled_from([2, 8, 32])),
    )


class EveryDay:
    """A calendar without mornings: lists live for their TTL."""

    expires_daily = False

    def next_session_day(self, day: int) -> int:
        """The day after."""
        return day + 1


def new_store(client: redis.Redis) -> PartitionStore:
    """A client of partition 0 with no claim on it yet."""
    return PartitionStore(client, KEYS, 0, script_texts(), Expiry(EveryDay(), 86_400_000, 30, 3_600_000))


def stem(number: int) -> str:
    """The key stem of an instrument."""
    exchange, _, token = INSTRUMENTS[number].partition("|")
    return KEYS.stem(exchange, token)


def day_key(number: int, day: int) -> str:
    """The key of an instrument's day string."""
    return f"{stem(number)}{date_number(day)}"


def flush_of(
    batch: Sequence[Sent],
    closes: Sequence[Order],
    offsets: Sequence[tuple[str, int, int]],
    hours: tuple[int, int] = HOURS,
    marks: Sequence[Order] = (),
    gaps: Sequence[Gap] = (),
) -> Flush:
    """A commit the way an owner makes it: aggregate, number the groups, add the orders and gap marks."""
    ticks = np.zeros(len(batch), TICK)
    for row, (_, t) in enumerate(batch):
        epoch = (t.day * 1440 + t.minute) * 60_000 - 19_800_000 + t.ms
        ticks[row] = (epoch, t.price, t.qty, t.volume, t.oi, 0, 0)
    placed = PlacedTicks(
        ticks,
        np.array([i for i, _ in batch], np.int64),
        np.array([t.day for _, t in batch], np.int64),
        np.array([t.minute for _, t in batch], np.int64),
        np.array([t.phase for _, t in batch], np.uint8),
        np.array([t.source for _, t in batch], np.uint16),
    )
    partial = aggregate(placed, CANDLE_MASK)
    places = zip(partial.instrument.tolist(), partial.day.tolist(), strict=True)
    items = [(*place, row) for place, row in zip(places, partial.rows, strict=True)]
    for number, day, minute in closes:
        order = np.zeros((), ROW)
        order["minute"], order["kind"] = minute, 1
        items.append((number, day, order))
    for number, day, minute in dict.fromkeys(marks):
        mark = np.zeros((), ROW)
        mark["minute"], mark["kind"], mark["phase"] = minute, 2, PHASES[minute]
        items.append((number, day, mark))
    items.sort(key=lambda i: (*i[:2], i[2]["kind"] == 2, int(i[2]["minute"]), int(i[2]["kind"])))
    numbers = sorted({(number, day) for number, day, _ in items})
    rows = np.array([row for *_, row in items], ROW) if items else np.zeros(0, ROW)
    rows["group"] = [numbers.index((number, day)) for number, day, _ in items]
    first, end = hours
    groups = [
        Group(stem(number), INSTRUMENTS[number], day, date_number(day), first, end - first)
        for number, day in numbers
    ]
    return Flush(offsets, {"count:rows": len(rows)} if len(rows) else {}, groups, rows, gaps)


def commit(store: PartitionStore, flush: Flush) -> tuple[int, int]:
    """Begin and wait for the reply: candles closed and amended. A refused commit is dropped."""
    try:
        store.begin(flush, int(time.time() * 1000))
        while (reply := store.poll(1.0)) is None:
            pass
    except StoreError:
        store.close()
        raise
    return reply


def read_stream(client: redis.Redis, key: str) -> list[tuple[bytes, bytes]]:
    """All (field, value) pairs of a stream, repeated fields included."""
    raw: Any = client.eval("return redis.call('XRANGE', KEYS[1], '-', '+')", 1, key)
    return [pair for _, fields in raw for pair in zip(fields[::2], fields[1::2], strict=True)]


def everything(client: redis.Redis) -> dict[bytes, tuple[bytes | None, int]]:
    """Every key's serialised value and when it expires: equal before and after means nothing was written."""
    return {key: (client.dump(key), client.pexpiretime(key)) for key in client.scan_iter()}
