"""A trade that its broker sends again is dropped, and nothing else is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.repeats import RepeatFilter
from tests.unit.core.tick_makers import Tick, any_ticks, cut, rows


def fresh(filter_: RepeatFilter, *ticks: Tick) -> list[bool]:
    """The mask of one block."""
    mask: list[bool] = filter_.fresh(rows(ticks)).tolist()
    return mask


def test_a_tick_equal_in_time_and_volume_to_the_previous_is_a_repeat() -> None:
    """Other prices don't save it; another time or volume does, and so does a different tick in between."""
    first, again, later, more = (
        Tick(0, 5, 100, 7),
        Tick(0, 5, 101, 7, oi=3),
        Tick(0, 6, 100, 7),
        Tick(0, 6, 100, 8),
    )
    assert fresh(RepeatFilter(), first, again, later, more, more, first) == [
        True,
        False,
        True,
        True,
        False,
        True,
    ]


def test_repeats_are_found_across_blocks_and_growing_instruments() -> None:
    """The last tick of each instrument is remembered, also while ever larger ids come."""
    repeats = RepeatFilter()
    assert fresh(repeats, Tick(0, 1, volume=5)) == [True]
    assert fresh(repeats) == []
    assert fresh(repeats, Tick(9, 1, volume=5), Tick(0, 1, volume=5)) == [True, False]
    assert fresh(repeats, Tick(1_000, 1, volume=5), Tick(9, 1, volume=5), Tick(0, 1, volume=5)) == [
        True,
        False,
        False,
    ]


def test_another_producer_repeats_nothing() -> None:
    """Each producer has its own memory: what one sent is new from the other."""
    one, other = RepeatFilter(), RepeatFilter()
    tick = Tick(0, 1, volume=5)
    assert fresh(one, tick) == fresh(other, tick) == [True]
    assert fresh(one, tick) == fresh(other, tick) == [False]


def test_without_volume_nothing_is_a_repeat() -> None:
    """Two equal trades of a tape are two trades; a volume-less tick in between makes the next one new."""
    trade = Tick(0, 1, 100, volume=-1, qty=3)
    with_volume = Tick(0, 1, volume=0)
    assert fresh(RepeatFilter(), trade, trade, with_volume, with_volume, trade, with_volume) == [
        True, True, True, False, True, True,
    ]  # fmt: skip


@given(st.lists(any_ticks(), max_size=30), st.lists(st.integers(0, 30), max_size=3))
def test_fresh_equals_its_plain_twin_however_cut(ticks: list[Tick], places: list[int]) -> None:
    """For any ticks in any blocks: a repeat is what equals the previous tick of its instrument."""
    repeats, found = RepeatFilter(), []
    for block in cut(ticks, places):
        found += fresh(repeats, *block)
    previous: dict[int, tuple[int, int]] = {}
    expected = []
    for tick in ticks:
        expected.append(tick.volume < 0 or previous.get(tick.instrument) != (tick.at_ms, tick.volume))
        previous[tick.instrument] = (tick.at_ms, tick.volume)
    assert found == expected


def test_a_mask_is_of_booleans_even_when_empty() -> None:
    """Callers index with it."""
    assert RepeatFilter().fresh(rows([])).dtype == np.bool_
