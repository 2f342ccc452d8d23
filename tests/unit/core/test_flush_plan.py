"""What a commit says: candles of valid ticks, each other tick counted for its reason, and what closes."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_ingest.core.directory import Directory, ProducerNames
from ray_ingest.core.flush_plan import CLOSE_ORDER, Coalescer, FlushPlan, Pending
from ray_ingest.model import TICK, Phase
from tests.calendars import calendar, day, ms
from tests.unit.core.tick_makers import OPEN_MS

NAMES = ("NSE_FO|8765", "NSE_INDEX|Nifty 50", "NASDAQ|AAPL", "NSE_INDEX|Nifty_50", "MCX_FO|1")
FRIDAY, SATURDAY, HOLIDAY = "2026-11-20", "2026-11-21", "2026-11-24"
"""A session, a weekend, and Guru Nanak Jayanti: MCX trades from 17:00, NSE doesn't."""
Waiting = tuple[int, str | int, dict[str, Any]]


class Owner:
    """An owner's directory and what producers named to it."""

    def __init__(self) -> None:
        self.calendar = calendar()
        self.directory = Directory(self.calendar)
        self.names: dict[str, ProducerNames] = {}

    def pending(self, producer: str, *ticks: Waiting) -> Pending:
        """Ticks (instrument, IST time or epoch ms, what is unusual) that wait for a commit."""
        if producer not in self.names:
            entries = [(*name.split("|"), "sim") for name in NAMES]
            self.names[producer] = ProducerNames(self.directory)
            self.names[producer].extend(0, entries)  # type: ignore[arg-type]
        block = np.zeros(len(ticks), TICK)
        for row, (instrument, at, values) in enumerate(ticks):
            block[["last_price", "last_qty", "day_volume", "oi"]][row] = (100.0, -1, -1, -1)
            block["event_time_ms"][row] = ms(at) if isinstance(at, str) else at
            block["instrument"][row] = instrument
            for name, value in values.items():
                block[name][row] = value
        return Pending(producer, self.names[producer], block)

    def plan(self, *pending: Pending, watermark_ms: int = 0) -> FlushPlan:
        """The commit of all that."""
        coalescer = Coalescer(self.directory, self.calendar)
        for part in pending:
            coalescer.take(part)
        return coalescer.plan(watermark_ms)


def listed(plan: FlushPlan) -> list[tuple[int, int, int, int]]:
    """(instrument number, day, minute, kind) of each row."""
    instruments, days = plan.group_instrument[plan.rows["group"]], plan.group_day[plan.rows["group"]]
    columns = (instruments, days, plan.rows["minute"], plan.rows["kind"])
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("instrument", "at", "counter"),
    [
        (0, f"{FRIDAY} 09:15", None),
        (0, f"{FRIDAY} 15:39:59", None),
        (0, f"{FRIDAY} 15:40", "outside_session"),
        (0, f"{FRIDAY} 08:59:59", "outside_session"),
        (0, f"{FRIDAY} 09:00", "pre_open"),
        (0, f"{SATURDAY} 11:00", "holiday"),
        (0, f"{HOLIDAY} 11:00", "holiday"),
        (0, f"{HOLIDAY} 18:00", "holiday"),
        (4, f"{HOLIDAY} 11:00", "outside_session"),
        (4, f"{HOLIDAY} 18:00", None),
        (0, f"{FRIDAY} 23:59:59", "outside_session"),
        (0, 1, "holiday"),
        (0, 10**14, "holiday"),
        (2, f"{FRIDAY} 11:00", "unknown_exchange"),
        (2, f"{SATURDAY} 11:00", "unknown_exchange"),
        (3, f"{FRIDAY} 11:00", "token_collision"),
        (3, f"{SATURDAY} 11:00", "token_collision"),
        (1, f"{FRIDAY} 11:00", None),
    ],
)
def test_each_tick_makes_a_candle_or_is_counted(instrument: int, at: str | int, counter: str | None) -> None:
    """By session, holiday, weekend, exchange and name: one row, or one count of its producer."""
    owner = Owner()
    plan = owner.plan(owner.pending("p", (instrument, at, {})))
    assert plan.counters == ({f"count:p:{counter}": 1} if counter else {})
    assert (len(plan.rows), plan.ticks) == (0 if counter else 1, 1)


def test_counters_are_each_producers_own() -> None:
    """Batches with faults of all kinds from two producers, beside good ticks that they don't touch."""
    owner = Owner()
    mixed: list[Waiting] = [
        (0, f"{FRIDAY} 16:30", {}),
        (0, f"{FRIDAY} 11:00", {}),
        (0, f"{SATURDAY} 11:00", {}),
        (2, OPEN_MS, {}),
    ]
    plan = owner.plan(owner.pending("p", *mixed), owner.pending("q", *mixed[:2]), owner.pending("p", *mixed))
    assert plan.counters == {
        "count:p:outside_session": 2,
        "count:p:holiday": 2,
        "count:p:unknown_exchange": 2,
        "count:q:outside_session": 1,
    }
    assert plan.ticks == 10
    assert plan.rows["ticks"].tolist() == [3]


def test_pre_open_moves_only_the_cumulative_volume() -> None:
    """Its ticks are counted, carry their volume into the store, make no candle, and none runs after them."""
    owner = Owner()
    ticks: list[Waiting] = [(0, f"{FRIDAY} 09:07", {"day_volume": 500}), (0, f"{FRIDAY} 09:08", {})]
    plan = owner.plan(owner.pending("p", *ticks))
    assert plan.counters == {"count:p:pre_open": 2}
    assert plan.rows[["minute", "ticks", "volume_high", "phase"]].tolist() == [(547, 0, 500, Phase.PRE_OPEN)]
    assert owner.directory.open_candles == 0


def test_a_running_candle_closes_when_the_watermark_passes_its_end() -> None:
    """Not a millisecond before, once only, behind its own row when both are in one commit, and also with no
    tick at all."""
    owner = Owner()
    end = ms(f"{FRIDAY} 11:01")
    on = day(FRIDAY)
    tick = owner.pending("p", (0, f"{FRIDAY} 11:00", {}))
    assert listed(owner.plan(tick, watermark_ms=end - 1)) == [(0, on, 660, 0)]
    plan = owner.plan(watermark_ms=end)
    assert listed(plan) == [(0, on, 660, CLOSE_ORDER)]
    assert (plan.ticks, plan.counters) == (0, {})
    assert listed(owner.plan(watermark_ms=end)) == []
    at_once = owner.plan(owner.pending("p", (1, f"{FRIDAY} 11:00", {})), watermark_ms=end)
    assert listed(at_once) == [(1, on, 660, 0), (1, on, 660, CLOSE_ORDER)]


def test_only_the_newest_candle_of_an_instrument_gets_an_order() -> None:
    """Older minutes are closed by the newer one in the store; the end of time closes the last of each day."""
    owner = Owner()
    ticks: list[Waiting] = [
        (0, f"{FRIDAY} 11:02", {}),
        (0, f"{FRIDAY} 11:00", {}),
        (1, f"{FRIDAY} 15:29", {}),
    ]
    plan = owner.plan(owner.pending("p", *ticks), watermark_ms=2**62)
    orders = [row for row in listed(plan) if row[3] == CLOSE_ORDER]
    assert orders == [(0, day(FRIDAY), 662, 1), (1, day(FRIDAY), 929, 1)]


def test_an_empty_flush_is_allowed() -> None:
    """Offsets of ticks that were all rejected still commit."""
    owner = Owner()
    plan = owner.plan(owner.pending("p", (2, OPEN_MS, {})))
    assert (len(plan.rows), len(plan.group_instrument), plan.ticks) == (0, 0, 1)


placed = st.tuples(
    st.sampled_from(range(len(NAMES))),
    st.sampled_from([FRIDAY, "2026-11-23", SATURDAY, HOLIDAY]),
    st.sampled_from(["08:30", "09:05", "09:15", "15:29", "15:41", "18:00"]),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(placed, max_size=12), max_size=3), st.sampled_from([0, ms(f"{FRIDAY} 15:30"), 2**62])
)
def test_rows_are_grouped_in_order_and_no_tick_is_lost(
    batches: list[list[tuple[int, str, str]]], watermark_ms: int
) -> None:
    """Rows ascend by (group, minute, kind), groups by (instrument, day); rows and counters hold all ticks."""
    owner = Owner()
    batches_pending = [
        owner.pending("pq"[n % 2], *((i, f"{on} {at}", {"day_volume": 7}) for i, on, at in batch))
        for n, batch in enumerate(batches)
    ]
    plan = owner.plan(*batches_pending, watermark_ms=watermark_ms)
    assert listed(plan) == sorted(listed(plan))
    assert len({*listed(plan)}) == len(plan.rows)
    pairs = list(zip(plan.group_instrument.tolist(), plan.group_day.tolist(), strict=True))
    assert pairs == sorted({*pairs})
    assert sorted({*plan.rows["group"].tolist()}) == list(range(len(pairs)))
    assert plan.ticks == sum(map(len, batches)) == plan.rows["ticks"].sum() + sum(plan.counters.values())
    expected: Counter[tuple[str, str]] = Counter()
    for n, batch in enumerate(batches):
        for i, on, at in batch:
            phase = int(
                owner.calendar.locate(owner.directory.class_index[[i]], np.array([ms(f"{on} {at}")]))[0][0]
            )
            if phase and i not in (2, 3) and not owner.calendar.candle_mask[phase]:
                expected["pq"[n % 2], Phase(phase).label] += 1
    counted = {name: n for name, n in plan.counters.items() if name.endswith(("open", "close"))}
    assert counted == {f"count:{producer}:{label}": n for (producer, label), n in expected.items()}


def test_it_places_what_aggregate_sums() -> None:
    """Several producers' ticks of one minute make one row: the sources joined, the ticks added."""
    owner = Owner()
    owner.names["q"] = ProducerNames(owner.directory)
    first = owner.pending("p", (0, OPEN_MS, {"day_volume": 3, "last_price": 5.0}))
    owner.names["q"].extend(0, [("NSE_FO", "8765", "dhan")])
    second = owner.pending("q", (0, OPEN_MS + 1, {"day_volume": 2, "last_price": 6.0}))
    (row,) = owner.plan(first, second).rows
    assert (row["open"], row["close"], row["ticks"], row["source"]) == (6.0, 5.0, 2, 2 | 32)
