"""Ticks for the core's tests: small worlds in which times, volumes and prices collide."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.model import NULL, TICK, TickColumns

FRIDAY = 20_777
"""2026-11-20, a session day of the shipped calendar, as days since 1970-01-01."""

OPEN_MS = (FRIDAY * 1440 + 555) * 60_000 - 19_800_000
"""That day's 09:15 IST in epoch ms."""


class Tick(NamedTuple):
    """One normalised tick; `at_ms` counts from `OPEN_MS`, -1 is a missing integer."""

    instrument: int = 0
    at_ms: int = 0
    price: float = 100.0
    volume: int = -1
    qty: int = -1
    oi: int = -1


def rows(ticks: Iterable[Tick]) -> npt.NDArray[np.void]:
    """The ticks as an array of `TICK`."""
    return np.array(
        [(OPEN_MS + t.at_ms, t.price, t.qty, t.volume, t.oi, t.instrument, 0) for t in ticks], TICK
    )


def columns(*ticks: dict[str, Any]) -> TickColumns:
    """Raw columns of ticks given by what is unusual about each; all else is a good tick of instrument 0."""
    usual = {
        "instrument": 0,
        "event_time_ms": OPEN_MS,
        "last_price": 100.0,
        "last_qty": NULL,
        "day_volume": NULL,
        "oi": NULL,
        "receive_time_ms": NULL,
    }
    table = [usual | tick for tick in ticks]
    types = {"instrument": np.uint32, "last_price": np.float64}
    return TickColumns(*(np.array([t[name] for t in table], types.get(name, np.int64)) for name in usual))


def table_of(*names: str, source: str = "sim") -> InstrumentTable:
    """An instrument table of "EXCHANGE|token" names; ids are their places."""
    table = InstrumentTable()
    for name in names:
        exchange, _, token = name.partition("|")
        table.intern(exchange, token, source)
    return table


@st.composite
def any_ticks(draw: st.DrawFn, instruments: int = 3, minutes: int = 3) -> Tick:
    """A tick with or without cumulative volume, quantity and open interest, at any of a few times."""
    return Tick(
        instrument=draw(st.integers(0, instruments - 1)),
        at_ms=draw(st.integers(0, minutes - 1)) * 60_000 + draw(st.sampled_from([0, 1, 2, 59_999])),
        price=draw(st.sampled_from([100.0, 100.03, 99.98, 100.3, 97.5])),
        volume=draw(st.integers(-1, 6)),
        qty=draw(st.integers(-1, 3)),
        oi=draw(st.integers(-1, 2)),
    )


def cut(items: list[Tick], places: Iterable[int]) -> list[list[Tick]]:
    """`items` in consecutive pieces, cut at `places` (taken modulo the length)."""
    edges = [0, *sorted({place % (len(items) + 1) for place in places}), len(items)]
    return [items[start:end] for start, end in pairwise(edges)]
