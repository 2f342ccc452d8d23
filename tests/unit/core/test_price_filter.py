"""The price filter thins ticks and leaves candles as they were, but for less than its threshold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_ingest.core.filters import FilterSettings, TickFilter
from tests.oracle import candle_oracle
from tests.oracle.candle_oracle import Minute, OracleDay
from tests.unit.core.tick_makers import FRIDAY, OPEN_MS, Tick, any_ticks, cut, rows, table_of

EXACT = (
    "open",
    "close",
    "volume",
    "oi",
    "volume_low",
    "volume_high",
    "first_ms",
    "last_ms",
    "source",
    "phase",
)


def thinned(ticks: list[Tick], percent: float, places: list[int]) -> list[Tick]:
    """What passes of the ticks, given in blocks cut at `places`."""
    filter_ = TickFilter(FilterSettings(min_price_change_percent=percent), table_of("A|0", "A|1", "A|2"))
    passed = []
    for block in cut(ticks, places):
        mask = filter_.passing(rows(block)).tolist()
        passed += [tick for tick, passes in zip(block, mask, strict=True) if passes]
    return passed


def candles(ticks: list[Tick]) -> dict[tuple[int, int], Minute]:
    """The oracle's candles by (instrument, minute)."""
    days: dict[int, OracleDay] = {}
    for t in ticks:
        minute, ms = divmod(t.at_ms, 60_000)
        tick = candle_oracle.Tick(FRIDAY, 555 + minute, ms, t.price, t.qty, t.volume, t.oi, 2, 1)
        days.setdefault(t.instrument, OracleDay()).ticks.setdefault(555 + minute, []).append(tick)
    return {(number, m): candle for number, day in days.items() for m, candle in day.minutes().items()}


@settings(max_examples=300)
@given(
    st.lists(any_ticks(), max_size=40),
    st.lists(st.integers(0, 40), max_size=4),
    st.sampled_from([0.01, 0.05, 0.5, 5.0, 99.0]),
)
def test_candles_of_thinned_ticks_are_those_of_all_ticks(
    ticks: list[Tick], places: list[int], percent: float
) -> None:
    """For any disorder, blocks and mix of ticks with and without volume: open, close, volume, open interest
    and times are equal; highs and lows lie inside the true ones by less than the threshold."""
    whole, thin = candles(ticks), candles(thinned(ticks, percent, places))
    assert thin.keys() == whole.keys()
    for key, true in whole.items():
        found = thin[key]
        assert [getattr(found, name) for name in EXACT] == [getattr(true, name) for name in EXACT], key
        band = percent / 100 * (1 + 1e-9)
        assert found.high <= true.high <= found.high * (1 + band)
        assert found.low * (1 - band) <= true.low <= found.low


def test_most_ticks_of_a_quiet_minute_are_dropped() -> None:
    """Its first and last tick, and each that left the band around the last one passed."""
    prices = [100.0, 100.05, 99.95, 100.2, 100.25, 100.15, 100.2, 100.2]
    ticks = [Tick(0, n, price, volume=n) for n, price in enumerate(prices)]
    assert [t.at_ms for t in thinned(ticks, 0.1, [])] == [0, 3, 7]


@pytest.mark.parametrize("percent", [0.1, 50.0])
def test_a_tape_passes_whole(percent: float) -> None:
    """Ticks whose quantities add up to the volume are never dropped."""
    ticks = [Tick(0, n, 100.0, volume=-1, qty=n) for n in range(10)]
    assert thinned(ticks, percent, []) == ticks


def test_an_index_is_thinned_by_time() -> None:
    """Without volume or quantity the first and last by time stay, also when they come in disorder."""
    ticks = [Tick(0, at, 100.0) for at in (5, 3, 8, 6, 4)]
    assert [t.at_ms for t in thinned(ticks, 1.0, [])] == [3, 8]


def test_each_instrument_has_a_band_of_its_own() -> None:
    """A price is compared with its own instrument's and minute's, not with the tick before it."""
    ticks = [Tick(i, n, price, volume=n) for n in range(5) for i, price in enumerate((100.0, 200.0))]
    kept = thinned(ticks, 1.0, [])
    assert [(t.instrument, t.at_ms) for t in kept] == [(0, 0), (1, 0), (0, 4), (1, 4)]


def test_a_late_tick_is_not_measured_against_another_minute() -> None:
    """A late 95 of the minute before must not let the running minute's 95.4, its low, pass as no change."""
    minute = 60_000
    ticks = [
        Tick(0, minute, 100.0, volume=5),
        Tick(0, 10, 95.0, volume=1),
        Tick(0, minute + 1, 95.4, volume=6),
        Tick(0, minute + 2, 100.0, volume=7),
    ]
    assert OPEN_MS % minute == 0
    assert candles(thinned(ticks, 1.0, []))[0, 556].low == 95.4
