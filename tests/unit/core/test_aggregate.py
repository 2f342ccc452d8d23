"""Aggregation against a plain twin: any ticks, in any order, cut into passes anyhow."""

from itertools import groupby, pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_ingest.core.aggregate import PartialCandles, PlacedTicks, aggregate
from ray_ingest.model import ROW, Phase
from tests.unit.core.tick_makers import FRIDAY, Tick, any_ticks, rows

CANDLE_MASK = np.array([False, False, True, True, False])
PHASES = [Phase.PRE_OPEN, Phase.REGULAR, Phase.CLOSING_AUCTION, Phase.POST_CLOSE]
"""The phase of minute n of this small world is the n-th."""

NOWHERE = 2**63
Row = dict[str, Any]
Sent = tuple[Tick, int]


@st.composite
def sent_ticks(draw: st.DrawFn) -> Sent:
    """A tick of one of three days and four phases, and its source flag."""
    tick = draw(any_ticks(minutes=4))
    day = draw(st.sampled_from([0, 0, 1, -3]))
    return tick._replace(at_ms=tick.at_ms + day * 86_400_000), draw(st.sampled_from([2, 8, 32]))


def place(tick: Tick) -> tuple[int, int, int]:
    """Day, minute of the day (IST) and milliseconds in it."""
    days, rest = divmod(555 * 60_000 + tick.at_ms, 86_400_000)
    return FRIDAY + days, rest // 60_000, rest % 60_000


def passed(ticks: list[Sent]) -> PartialCandles:
    """One aggregation of these ticks."""
    places = [place(tick) for tick, _ in ticks]
    placed = PlacedTicks(
        rows([tick for tick, _ in ticks]),
        np.array([tick.instrument for tick, _ in ticks], np.int64),
        np.array([day for day, _, _ in places], np.int64),
        np.array([minute for _, minute, _ in places], np.int64),
        np.array([PHASES[minute - 555] for _, minute, _ in places], np.uint8),
        np.array([source for _, source in ticks], np.uint16),
    )
    return aggregate(placed, CANDLE_MASK)


def as_dict(partial: PartialCandles) -> dict[tuple[int, int, int], Row]:
    """Rows by (instrument, day, minute), in their order."""
    names = ROW.names or ()
    found = {}
    for instrument, day, row in zip(
        partial.instrument.tolist(), partial.day.tolist(), partial.rows, strict=True
    ):
        found[instrument, day, int(row["minute"])] = dict(zip(names, row.item(), strict=True))
    return found


def twin_row(ticks: list[Sent]) -> Row | None:
    """The row of one minute's ticks by the rule, in plain Python; None where it says nothing."""
    _, minute, _ = place(ticks[0][0])
    phase = PHASES[minute - 555]
    volumes = [tick.volume for tick, _ in ticks if tick.volume >= 0]
    row: Row = dict.fromkeys(ROW.names or (), 0)
    row |= {"minute": minute, "phase": phase, "oi": -1, "volume": -1}
    row |= {"volume_low": min(volumes, default=-1), "volume_high": max(volumes, default=-1)}
    if not CANDLE_MASK[phase]:
        return row if volumes else None
    ordered = [tick for tick, _ in ticks if tick.volume >= 0] or [tick for tick, _ in ticks]
    ordered = sorted(ordered, key=lambda tick: (tick.volume, tick.at_ms))
    quantities = [tick.qty for tick, _ in ticks if tick.volume < 0 and tick.qty >= 0]
    prices = [tick.price for tick, _ in ticks]
    row |= {"open": ordered[0].price, "high": max(prices), "low": min(prices), "close": ordered[-1].price}
    row |= {"first_ms": place(ordered[0])[2], "last_ms": place(ordered[-1])[2], "oi": ordered[-1].oi}
    row |= {"ticks": len(ticks), "volume": sum(quantities) if quantities else -1}
    for _, source in ticks:
        row["source"] |= source
    return row


def twin(ticks: list[Sent]) -> dict[tuple[int, int, int], Row]:
    """All rows of these ticks, minute by minute, ascending."""
    keyed = sorted(((t[0].instrument, *place(t[0])[:2]), n, t) for n, t in enumerate(ticks))
    minutes = {key: [t for *_, t in group] for key, group in groupby(keyed, key=lambda item: item[0])}
    return {key: row for key, own in minutes.items() if (row := twin_row(own)) is not None}


@settings(max_examples=300)
@given(st.lists(sent_ticks(), max_size=40))
def test_aggregate_equals_its_plain_twin(ticks: list[Sent]) -> None:
    """Every field of every row, the rows ascending by instrument, day and minute, whatever the disorder and
    the mix of ticks with and without cumulative volume."""
    partial = passed(ticks)
    found = as_dict(partial)
    assert list(found) == sorted(found)
    assert len(partial) == len(found)
    assert found == twin(ticks)


def merge(record: Row, row: Row) -> Row:
    """The store's rule for a minute that several passes touched; `row` is the later pass."""
    low, high = (record["volume_low"], record["volume_high"])
    row_low, row_high = row["volume_low"], row["volume_high"]
    merged = dict(record)
    opening = (NOWHERE if low < 0 else low, record["first_ms"])
    if (NOWHERE if row_low < 0 else row_low, row["first_ms"]) < opening:
        merged |= {"open": row["open"], "first_ms": row["first_ms"]}
    if (row_high, row["last_ms"]) >= (high, record["last_ms"]):
        merged |= {"close": row["close"], "last_ms": row["last_ms"], "oi": row["oi"]}
    merged |= {"high": max(record["high"], row["high"]), "low": min(record["low"], row["low"])}
    merged |= {"ticks": record["ticks"] + row["ticks"], "source": record["source"] | row["source"]}
    lows = [value for value in (low, row_low) if value >= 0]
    merged |= {"volume_low": min(lows, default=-1), "volume_high": max(high, row_high)}
    quantities = [value for value in (record["volume"], row["volume"]) if value >= 0]
    return merged | {"volume": sum(quantities) if quantities else -1}


@settings(max_examples=200)
@given(st.lists(sent_ticks(), max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_how_ticks_are_cut_into_passes_never_shows(ticks: list[Sent], places: list[int]) -> None:
    """The rows of several passes, merged by the store's rule, are the rows of one pass."""
    edges = [0, *sorted({place % (len(ticks) + 1) for place in places}), len(ticks)]
    merged: dict[tuple[int, int, int], Row] = {}
    for start, end in pairwise(edges):
        for key, row in as_dict(passed(ticks[start:end])).items():
            merged[key] = merge(merged[key], row) if key in merged else row
    assert merged == as_dict(passed(ticks))


def test_two_interleavings_of_a_feed_make_the_same_candle() -> None:
    """Ticks with distinct (volume, time) give the same row in any arrival order."""
    ticks = [(Tick(0, 60_000 + n, 100.0 + n % 7, volume=n // 2), 2) for n in range(20)]
    disordered = [ticks[n * 7 % 20] for n in range(20)]
    assert as_dict(passed(disordered)) == as_dict(passed(ticks))


def test_ticks_years_and_numbers_apart_meet_in_no_row() -> None:
    """Large instrument numbers and distant days keep their own rows and their order."""
    far = 86_400_000 * 3_650
    ticks = [(Tick(n, 60_000 + at, 100.0, volume=1), 2) for n in (99_999, 0) for at in (far, -far, 0)]
    found = passed(ticks)
    assert found.instrument.tolist() == [0, 0, 0, 99_999, 99_999, 99_999]
    assert found.day.tolist() == [FRIDAY - 3_650, FRIDAY, FRIDAY + 3_650] * 2


def test_nothing_makes_no_rows() -> None:
    """An empty pass is allowed."""
    partial = passed([])
    assert (len(partial), partial.rows.dtype, partial.instrument.tolist()) == (0, ROW, [])
