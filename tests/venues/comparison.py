"""What came of a session, compared with what its broker was given to send."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias

from ray_ingest.feeds.source import Disconnected
from tests.venues.market import MINUTE_MS, Candles, Market
from tests.venues.venue import VenueTick

Trade: TypeAlias = tuple[str, float, int, int | None]
"""What every broker says of a tick: key, price, time and cumulative volume."""


def trade_of(tick: VenueTick) -> Trade:
    """The trade that a tick tells of."""
    return tick.key, round(tick.last_price, 4), tick.event_time_ms, tick.day_volume


def wrong(
    market: Market,
    published: Sequence[VenueTick],
    received: Sequence[VenueTick],
    gaps: Collection[Disconnected],
    names: Sequence[str],
) -> list[str]:
    """Candles of what was received that differ from those of all that was published and lie in no gap, and
    ticks that were never published; `names` are those of the ids that gaps name."""
    expected, candles = market.candles(published), market.candles(received)
    marked = {
        (names[row], minute * MINUTE_MS)
        for gap in gaps
        for row in (range(len(names)) if gap.instruments is None else gap.instruments)
        for minute in range(gap.from_ms // MINUTE_MS, gap.to_ms // MINUTE_MS + 1)
    }
    known = {trade_of(tick) for tick in published}
    return [
        *(
            f"{place} {_values(candles, place)} should be {_values(expected, place)}"
            for place in sorted(expected.keys() | candles.keys())
            if place not in marked and _values(candles, place) != _values(expected, place)
        ),
        *(f"never sent: {tick}" for tick in received if trade_of(tick) not in known),
    ]


def _values(candles: Candles, place: tuple[str, int]) -> list[float] | None:
    """Open, high, low, close and volume: what a broker's own repetitions can't change."""
    candle = candles.get(place)
    return [round(value, 4) for value in candle[:5]] if candle else None
