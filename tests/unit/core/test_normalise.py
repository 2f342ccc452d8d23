"""What counts as a tick, and what is refused for which reason."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.normalise import REASONS, normalise
from ray_ingest.model import NULL, TICK, TickColumns
from tests.unit.core.tick_makers import OPEN_MS, columns, table_of

NOW_MS = OPEN_MS + 3_600_000
FUTURE_MS = 60_000
LARGEST = 2**53 - 1
NAMES = (
    "NSE_FO|8765",
    "NSE_INDEX|Nifty 50",
    "NSE EQ|1",
    "NSE_EQ|a:b",
    "NSE_INDEX|Nifty_50",
    "NSE_EQ|8765",
)
"""Good, an index, a bad exchange, a bad token, one that collides with the index, another exchange's 8765."""


def outcome(tick: dict[str, Any]) -> str:
    """The reason one tick is refused for; "" when it is not."""
    result = normalise(columns(tick), table_of(*NAMES), NOW_MS, FUTURE_MS)
    assert len(result.ticks) + sum(result.rejected.values()) == 1
    return next(iter(result.rejected), "")


@pytest.mark.parametrize(
    ("tick", "reason"),
    [
        ({}, ""),
        ({"last_price": math.nan}, "price"),
        ({"last_price": 0.0}, "price"),
        ({"last_price": -0.0}, "price"),
        ({"last_price": -5.0}, "price"),
        ({"last_price": math.inf}, "price"),
        ({"last_price": -math.inf}, "price"),
        ({"last_price": 1e-7}, ""),
        ({"last_qty": -1}, "quantity"),
        ({"day_volume": -1}, "quantity"),
        ({"oi": -1}, "quantity"),
        ({"last_qty": NULL + 1}, "quantity"),
        ({"last_qty": 0, "day_volume": 0, "oi": 0}, ""),
        ({"day_volume": LARGEST}, ""),
        ({"day_volume": LARGEST + 1}, "quantity"),
        ({"oi": np.iinfo(np.int64).max}, "quantity"),
        ({"event_time_ms": 0}, "time"),
        ({"event_time_ms": -OPEN_MS}, "time"),
        ({"event_time_ms": NULL}, "time"),
        ({"event_time_ms": OPEN_MS // 1000}, "time_unit"),
        ({"event_time_ms": OPEN_MS * 1000}, "time_unit"),
        ({"event_time_ms": OPEN_MS * 1_000_000}, "time_unit"),
        ({"event_time_ms": NOW_MS + FUTURE_MS}, ""),
        ({"event_time_ms": NOW_MS + FUTURE_MS + 1}, "future"),
        ({"receive_time_ms": OPEN_MS - FUTURE_MS}, ""),
        ({"receive_time_ms": OPEN_MS - FUTURE_MS - 1}, "future"),
        ({"event_time_ms": NOW_MS + 10**9, "receive_time_ms": NOW_MS + 10**9}, ""),
        ({"event_time_ms": NOW_MS + FUTURE_MS + 1, "receive_time_ms": 0}, "future"),
        ({"event_time_ms": NOW_MS + FUTURE_MS + 1, "receive_time_ms": NOW_MS * 1000}, "future"),
        ({"event_time_ms": NOW_MS + FUTURE_MS + 1, "receive_time_ms": np.iinfo(np.int64).max}, "future"),
        ({"instrument": 2}, "exchange"),
        ({"instrument": 3}, "token"),
        ({"instrument": 4}, "token_collision"),
        ({"instrument": 5}, ""),
    ],
)
def test_each_fault_is_refused_for_its_reason(tick: dict[str, Any], reason: str) -> None:
    """A tick is valid up to the very limits, and one step beyond each limit it is refused for that."""
    assert outcome(tick) == reason


@pytest.mark.parametrize(
    ("tick", "reason"),
    [
        ({"instrument": 3, "last_price": 0.0, "event_time_ms": 0, "oi": -1}, "token"),
        ({"last_price": 0.0, "event_time_ms": 0, "oi": -1}, "price"),
        ({"event_time_ms": 0, "oi": -1}, "time"),
        ({"event_time_ms": OPEN_MS * 1000, "oi": -1}, "time_unit"),
        ({"event_time_ms": NOW_MS * 2, "oi": -1}, "future"),
    ],
)
def test_of_several_faults_the_first_is_counted(tick: dict[str, Any], reason: str) -> None:
    """A tick is counted once, under the first reason of the documented order."""
    assert outcome(tick) == reason


def test_an_index_has_no_volume_whatever_its_feed_sends() -> None:
    """Volume and quantity of an index become null, its open interest and price stay."""
    tick = {"instrument": 1, "last_price": 26_000.05, "last_qty": 3, "day_volume": 0, "oi": 7}
    (row,) = normalise(columns(tick), table_of(*NAMES), NOW_MS, FUTURE_MS).ticks
    assert row.item() == (OPEN_MS, 26_000.05, -1, -1, 7, 1, 0)


@pytest.mark.parametrize("exchange", ["NSE_INDEX", "BSE_INDEX", "MCX_INDEX", "IDX_I"])
def test_every_brokers_index_segment_is_an_index(exchange: str) -> None:
    """The calendar's index segments, Dhan's IDX_I among them, are known as such."""
    table = table_of(f"{exchange}|13", "NSE_FO|13")
    assert table.is_index().tolist() == [True, False]


def test_rejects_are_described_briefly_and_on_one_line() -> None:
    """The first reject of each reason comes in words for the log, without a token's 10 kB or line breaks."""
    table = table_of("NSE_EQ|" + "x" * 10_000, "NSE_EQ|a\nb")
    result = normalise(columns(*[{"instrument": i % 2} for i in range(20)]), table, NOW_MS, FUTURE_MS)
    assert result.rejected == {"token": 20}
    assert result.samples.keys() == {"token"}
    assert len(result.samples["token"]) < 300
    broken = normalise(columns({"instrument": 1}), table, NOW_MS, FUTURE_MS).samples["token"]
    assert "'NSE_EQ'|'a\\nb' event_time_ms" in broken
    assert broken.isprintable()


def test_no_ticks_are_no_ticks() -> None:
    """An empty block is valid and yields an empty array of the right type."""
    result = normalise(columns(), table_of(*NAMES), NOW_MS, FUTURE_MS)
    assert (result.ticks.dtype, len(result.ticks), result.rejected) == (TICK, 0, {})


def twin(block: TickColumns, row: int) -> tuple[str, tuple[Any, ...]]:
    """Tick by tick in plain Python: the reason it is refused for, or "" and the row it becomes."""
    instrument, time, price, qty, volume, oi, received = (
        getattr(block, name)[row].item() for name in TickColumns.__slots__
    )
    known = received if 0 < received < 10**14 else NOW_MS
    quantities = [None if q == NULL else q for q in (qty, volume, oi)]
    checks = {
        "exchange": instrument == 2,
        "token": instrument == 3,
        "token_collision": instrument == 4,
        "price": not (price > 0 and math.isfinite(price)),
        "time": time <= 0,
        "time_unit": not 10**11 <= time <= 10**14,
        "future": time > known + FUTURE_MS,
        "quantity": any(q is not None and not 0 <= q <= LARGEST for q in quantities),
    }
    assert [*checks] == [*REASONS[1:]]
    reason = next((name for name, wrong in checks.items() if wrong), "")
    qty, volume, oi = (-1 if q is None else q for q in quantities)
    if instrument == 1:
        qty = volume = -1
    return reason, (time, price, qty, volume, oi, instrument, 0)


integers = st.one_of(
    st.sampled_from([NULL, -1, 0, 1, LARGEST, LARGEST + 1]), st.integers(-(2**63), 2**63 - 1)
)
times = st.one_of(integers, st.integers(OPEN_MS - 10**6, NOW_MS + 10**6), st.just(OPEN_MS * 1000))
raw_ticks = st.fixed_dictionaries(
    {
        "instrument": st.integers(0, len(NAMES) - 1),
        "event_time_ms": times,
        "last_price": st.one_of(st.floats(), st.floats(0.01, 1e6)),
        "last_qty": integers,
        "day_volume": integers,
        "oi": integers,
        "receive_time_ms": times,
    }
)
good_more_often = st.one_of(
    raw_ticks, raw_ticks.map(lambda t: t | {"instrument": 0, "event_time_ms": OPEN_MS})
)


@given(st.lists(good_more_often, max_size=20))
def test_normalise_equals_its_plain_twin(ticks: list[dict[str, Any]]) -> None:
    """For any columns, valid ticks come out bit for bit in arrival order and each other one is counted."""
    block = columns(*ticks)
    result = normalise(block, table_of(*NAMES), NOW_MS, FUTURE_MS)
    expected = [twin(block, row) for row in range(len(block))]
    assert result.ticks.tolist() == [row for reason, row in expected if not reason]
    reasons = [reason for reason, _ in expected if reason]
    assert result.rejected == {reason: reasons.count(reason) for reason in set(reasons)}
    assert result.samples.keys() == set(reasons)
