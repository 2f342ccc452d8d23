"""The candles of a store, as the oracle of a market tells them."""

from __future__ import annotations

from collections.abc import Iterable

from ray_ingest import Candles
from tests.venues.market import Candles as Wanted

COLUMNS = ("open", "high", "low", "close", "volume", "ticks")


def differences(wanted: Wanted, candles: Candles, names: Iterable[str]) -> list[str]:
    """How the candles of these instruments in the store differ from the wanted ones, of which there are no
    others; a candle without volume is one of an index, whose ticks a broker's own repetitions add to."""
    unlike, places = [], set()
    for name in names:
        for at, *row in candles.history(name).select("timestamp", *COLUMNS).rows():
            place = (name, int(at.timestamp() * 1000))
            places.add(place)
            found, expected = _values(row), wanted.get(place)
            if expected is None or found != _values([*expected[:4], expected.volume, expected.ticks]):
                unlike.append(f"{place}: {found} instead of {expected}")
    return unlike + [f"{place} is missing" for place in wanted.keys() - places]


def _values(row: list[float | None]) -> list[float | None]:
    *prices, volume, ticks = row
    if volume is None or volume < 0:
        return [*_rounded(prices), None, None]
    return [*_rounded(prices), volume, ticks]


def _rounded(prices: list[float | None]) -> list[float | None]:
    return [price if price is None else round(price, 4) for price in prices]
