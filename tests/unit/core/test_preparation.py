"""The pure part of a feed as a whole: every tick that comes in is accounted for, and goes to its owner."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.partition import partition_of
from ray_ingest.core.preparation import Preparation
from tests.unit.core.tick_makers import OPEN_MS, columns, table_of

NOW_MS = OPEN_MS + 3_600_000
NAMES = ("NSE_FO|8765", "NSE_EQ|8765", "NSE_INDEX|Nifty 50", "NSE_EQ|a:b", "NSE_INDEX|Nifty_50")


def preparation(partitions: int = 1, *names: str, **filters: Any) -> Preparation:
    """A feed's preparation over these names, or the usual ones."""
    return Preparation(table_of(*(names or NAMES)), FilterSettings(**filters), partitions, 60_000)


def test_every_tick_is_counted_once() -> None:
    """Rejected before repeated before filtered, and the rest comes out."""
    prepare = preparation(deny_exchanges=["NSE_EQ"])
    good = {"instrument": 0, "day_volume": 5}
    block = columns(good, good, {"instrument": 1}, {"instrument": 3}, {"last_price": 0}, {"instrument": 4})
    (ticks,) = prepare.prepare(block, NOW_MS)
    assert ticks["instrument"].tolist() == [0]
    counts = prepare.counts
    assert (counts.received, counts.repeated, counts.filtered) == (6, 1, 1)
    assert counts.rejected == Counter(token=1, price=1, token_collision=1)
    assert len(counts.samples) == 3


def test_a_rejected_tick_is_nobodys_predecessor() -> None:
    """A tick refused for its price doesn't make the good one after it a repeat."""
    bad = {"day_volume": 5, "last_price": float("nan")}
    (ticks,) = preparation().prepare(columns(bad, {"day_volume": 5}), NOW_MS)
    assert len(ticks) == 1


def test_a_repeat_is_not_counted_by_sampling() -> None:
    """Repeats are dropped first: 1:2 of distinct ticks, and across blocks."""
    prepare = preparation(sample_every=2)
    kept = []
    for volume in (1, 1, 2, 2, 3, 3, 4):
        (ticks,) = prepare.prepare(columns({"day_volume": volume}), NOW_MS)
        kept += ticks["day_volume"].tolist()
    assert kept == [1, 3]
    assert (prepare.counts.repeated, prepare.counts.filtered) == (3, 2)


def test_two_exchanges_with_one_token_stay_apart() -> None:
    """NSE_FO|8765 and NSE_EQ|8765 at the same time with the same volume are two instruments' ticks."""
    block = columns({"instrument": 0, "day_volume": 5}, {"instrument": 1, "day_volume": 5})
    (ticks,) = preparation().prepare(block, NOW_MS)
    assert ticks["instrument"].tolist() == [0, 1]


@pytest.mark.parametrize("token", ["x" * 10_000, "a\ud800b", "", "\x00"], ids=lambda token: ascii(token)[:20])
def test_an_absurd_token_is_rejected_and_stops_nothing(token: str) -> None:
    """10 kB, half a surrogate pair, nothing, a zero byte: counted, with several partitions as well."""
    prepare = preparation(3, f"NSE_EQ|{token}", "NSE_EQ|1")
    shares = prepare.prepare(columns({"instrument": 0}, {"instrument": 1}), NOW_MS)
    assert sum(len(share) for share in shares) == 1
    assert prepare.counts.rejected == Counter(token=1)


@given(st.lists(st.lists(st.integers(0, 30), max_size=20), max_size=3), st.integers(1, 5), st.integers(0, 4))
def test_partitions_share_out_all_ticks_in_arrival_order(
    blocks: list[list[int]], partitions: int, late: int
) -> None:
    """Each tick is in its owner's share and no other; a share is in arrival order; names may come late."""
    table = table_of(*[f"NSE_FO|{n}" for n in range(31 - late)])
    prepare = Preparation(table, FilterSettings(), partitions, 60_000)
    sequence = 0
    for number, block in enumerate(blocks):
        if number:
            for n in range(31 - late, 31):
                table.intern("NSE_FO", str(n), "sim")
        known = [i for i in block if i < len(table)]
        sent = [{"instrument": i, "event_time_ms": OPEN_MS + sequence + n} for n, i in enumerate(known)]
        sequence += len(known)
        shares = prepare.prepare(columns(*sent), NOW_MS)
        assert len(shares) == partitions
        for partition, share in enumerate(shares):
            own = [t for t in sent if partition_of("NSE_FO", str(t["instrument"]), partitions) == partition]
            assert share["event_time_ms"].tolist() == [t["event_time_ms"] for t in own]
            assert share["instrument"].tolist() == [t["instrument"] for t in own]
    assert prepare.counts.received == sequence


def test_counts_never_come_short() -> None:
    """received = sent on + repeated + filtered + rejected, over many blocks of all sorts."""
    rng = np.random.default_rng(1)
    prepare = preparation(3, sample_every=3, min_price_change_percent=0.1)
    sent = 0
    for _ in range(50):
        block = columns(
            *[
                {
                    "instrument": int(rng.integers(len(NAMES))),
                    "day_volume": int(rng.integers(-1, 5)),
                    "last_price": float(rng.integers(0, 4)) * 50,
                    "event_time_ms": OPEN_MS + int(rng.integers(3)),
                }
                for _ in range(20)
            ]
        )
        sent += sum(len(share) for share in prepare.prepare(block, NOW_MS))
    counts = prepare.counts
    parts = (sent, counts.repeated, counts.filtered, counts.rejected.total())
    assert min(parts) > 0
    assert counts.received == 1_000 == sum(parts)
