"""Allow and deny lists, and 1:N sampling."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.filters import FilterSettings, TickFilter
from tests.unit.core.tick_makers import Tick, any_ticks, cut, rows, table_of

NAMES = ("NSE_FO|8765", "NSE_INDEX|Nifty 50", "NSE_EQ|8765", "NSE_INDEX|Nifty_Bank")


def passing(settings: dict[str, Any]) -> list[str]:
    """Which of the names pass."""
    filter_ = TickFilter(FilterSettings(**settings), table_of(*NAMES))
    mask = filter_.passing(rows([Tick(i) for i in range(len(NAMES))]))
    return [name for name, passes in zip(NAMES, mask.tolist(), strict=True) if passes]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [*NAMES]),
        ({"allow_exchanges": ["NSE_FO", "NSE_EQ"]}, ["NSE_FO|8765", "NSE_EQ|8765"]),
        ({"allow_exchanges": ["nse_fo"]}, ["NSE_FO|8765"]),
        ({"deny_exchanges": ["nse_index"]}, ["NSE_FO|8765", "NSE_EQ|8765"]),
        ({"allow_instruments": ["NSE_FO|8765"]}, ["NSE_FO|8765"]),
        ({"allow_instruments": ["nse_fo|8765"]}, ["NSE_FO|8765"]),
        ({"allow_instruments": ["NSE_INDEX|Nifty_50"]}, ["NSE_INDEX|Nifty 50"]),
        ({"allow_instruments": ["NSE_INDEX|Nifty Bank"]}, ["NSE_INDEX|Nifty_Bank"]),
        ({"allow_instruments": ["NSE_INDEX|nifty 50"]}, []),
        (
            {"deny_instruments": ["nse_index|Nifty 50"]},
            ["NSE_FO|8765", "NSE_EQ|8765", "NSE_INDEX|Nifty_Bank"],
        ),
        ({"allow_exchanges": ["NSE_FO"], "deny_instruments": ["NSE_FO|8765"]}, []),
        ({"allow_instruments": ["NSE_FO|8765"], "deny_exchanges": ["NSE_FO"]}, []),
        ({"allow_exchanges": ["NSE_EQ"], "allow_instruments": ["NSE_FO|8765"]}, []),
    ],
)
def test_lists_name_exchanges_and_instruments(settings: dict[str, Any], expected: list[str]) -> None:
    """In any case of the exchange, both spellings of the token; denying wins, two allow lists must agree."""
    assert passing(settings) == expected


def test_instruments_that_come_later_are_judged_too() -> None:
    """The table grows while the filter works."""
    table = table_of("NSE_FO|1")
    filter_ = TickFilter(FilterSettings(deny_exchanges=("NSE_EQ",), sample_every=2), table)
    assert filter_.passing(rows([Tick(0)])).tolist() == [True]
    table.intern("NSE_EQ", "2", "sim")
    table.intern("NSE_FO", "3", "sim")
    assert filter_.passing(rows([Tick(0), Tick(1), Tick(2)])).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("settings", "idle"),
    [
        (FilterSettings(), True),
        (FilterSettings(sample_every=2), False),
        (FilterSettings(min_price_change_percent=0.01), False),
        (FilterSettings(allow_exchanges=("NSE_FO",)), False),
        (FilterSettings(deny_instruments=("NSE_FO|1",)), False),
    ],
)
def test_a_filter_knows_whether_it_does_anything(settings: FilterSettings, idle: bool) -> None:
    """Off by default, and then ticks don't even pass through it."""
    assert TickFilter(settings, table_of()).idle is idle


@given(st.lists(any_ticks(), max_size=40), st.lists(st.integers(0, 40), max_size=4), st.integers(1, 5))
def test_sampling_equals_counting_each_instrument(ticks: list[Tick], places: list[int], every: int) -> None:
    """The first tick of each instrument and every N-th after it, however the ticks are cut into blocks."""
    filter_ = TickFilter(FilterSettings(sample_every=every), table_of("A|0", "A|1", "A|2"))
    found: list[bool] = []
    for block in cut(ticks, places):
        found += filter_.passing(rows(block)).tolist()
    seen = [0, 0, 0]
    expected = []
    for tick in ticks:
        expected.append(seen[tick.instrument] % every == 0)
        seen[tick.instrument] += 1
    assert found == expected


def test_sampling_counts_on_from_block_to_block() -> None:
    """Ticks that come one by one are sampled as those of one block are."""
    filter_ = TickFilter(FilterSettings(sample_every=3), table_of("A|0"))
    assert [filter_.passing(rows([Tick()])).item() for _ in range(8)] == [n % 3 == 0 for n in range(8)]


def test_what_is_denied_is_not_counted_for_sampling() -> None:
    """1:2 of the allowed instrument's ticks, wherever the denied ones stand between them."""
    settings = FilterSettings(sample_every=2, deny_exchanges=("B",))
    filter_ = TickFilter(settings, table_of("A|0", "B|0"))
    ticks = [Tick(1), Tick(0), Tick(1), Tick(0), Tick(1), Tick(0)]
    assert filter_.passing(rows(ticks)).tolist() == [False, True, False, False, False, True]
