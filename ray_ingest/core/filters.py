"""Optional thinning of ticks, off by default: allow and deny lists, 1:N sampling, least price change.

None of it can corrupt what a candle says of volume: cumulative volume is in every tick that stays. In each
block the first and last tick of every instrument's minute, in the order candles use, pass the price filter
whatever their price, so open, close and volume stay exact; only highs and lows may differ, by less than the
threshold. Ticks of a tape, whose quantities add up, pass it always. Sampling is what its name says: candles
of a sample.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ray_ingest.core.instruments import InstrumentTable, sanitise
from ray_ingest.core.order import group_starts, stable_order
from ray_ingest.model import MINUTE_MS


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """What may pass. Lists name exchanges ("NSE_FO") and instruments ("NSE_FO|8765"); empty allows all."""

    sample_every: int = 1
    min_price_change_percent: float = 0.0
    allow_exchanges: Collection[str] = ()
    deny_exchanges: Collection[str] = ()
    allow_instruments: Collection[str] = ()
    deny_instruments: Collection[str] = ()

    @property
    def idle(self) -> bool:
        """True when everything passes."""
        return bool(self == FilterSettings())


class TickFilter:
    """Applies `FilterSettings` to one producer's ticks, remembering counts by instrument id."""

    def __init__(self, settings: FilterSettings, table: InstrumentTable) -> None:
        self._settings = settings
        self._table = table
        self._allowed: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._seen: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._allow_exchanges = {name.upper() for name in settings.allow_exchanges}
        self._deny_exchanges = {name.upper() for name in settings.deny_exchanges}
        self._allow_instruments = {_canonical(name) for name in settings.allow_instruments}
        self._deny_instruments = {_canonical(name) for name in settings.deny_instruments}

    @property
    def idle(self) -> bool:
        """True when the settings let everything pass."""
        return self._settings.idle

    def passing(self, ticks: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """A mask over `ticks` (TICK rows in arrival order): True for those that pass."""
        if self.idle or not len(ticks):
            return np.ones(len(ticks), np.bool_)
        self._grow()
        mask: npt.NDArray[np.bool_] = self._allowed[ticks["instrument"]]
        if self._settings.sample_every > 1:
            rows = np.flatnonzero(mask)
            mask[rows] = self._sampled(ticks["instrument"][rows])
        if self._settings.min_price_change_percent > 0:
            rows = np.flatnonzero(mask)
            mask[rows] = _moved(ticks[rows], self._settings.min_price_change_percent / 100)
        return mask

    def _sampled(self, ids: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """The first tick of each instrument and every N-th after it."""
        order = stable_order(ids)
        starts = group_starts(ids[order])
        counts = np.diff(np.append(starts, len(ids)))
        position = np.arange(len(ids)) - np.repeat(starts, counts)
        first_ids = ids[order][starts]
        position += np.repeat(self._seen[first_ids], counts)
        self._seen[first_ids] += counts
        passing = np.empty(len(ids), np.bool_)
        passing[order] = position % self._settings.sample_every == 0
        return passing

    def _grow(self) -> None:
        known, size = len(self._allowed), len(self._table)
        if size > known:
            fresh = [self._may_pass(entry.exchange, entry.token) for entry in self._table.entries[known:size]]
            self._allowed = np.append(self._allowed, np.array(fresh, np.bool_))
            self._seen = np.append(self._seen, np.zeros(size - known, np.int64))

    def _may_pass(self, exchange: str, token: str) -> bool:
        name = _canonical(f"{exchange}|{token}")
        if exchange in self._deny_exchanges or name in self._deny_instruments:
            return False
        if self._allow_exchanges and exchange not in self._allow_exchanges:
            return False
        return not self._allow_instruments or name in self._allow_instruments


def _moved(ticks: npt.NDArray[np.void], band: float) -> npt.NDArray[np.bool_]:
    """Ticks whose price left the band around the last passed one of their minute, and those its edges need.

    Prices are followed in the order candles use, so that disorder can't hide a high or a low.
    """
    ids, price, volume = ticks["instrument"], ticks["last_price"], ticks["day_volume"]
    minute = ticks["event_time_ms"] // MINUTE_MS
    order = np.lexsort((ticks["event_time_ms"], volume, minute, ids))
    # Ticks with a cumulative volume open and close a minute that also has some without: both have edges.
    edge = np.ones(len(ids) + 1, np.bool_)
    edge[1:-1] = False
    for column in (ids, minute, volume >= 0):
        edge[1:-1] |= column[order][1:] != column[order][:-1]
    must_pass = edge[:-1] | edge[1:] | ((volume < 0) & (ticks["last_qty"] >= 0))[order]
    passing = must_pass.tolist()
    reference = 0.0
    # Each decision depends on the last price that passed, so this goes tick by tick.
    for place, value in enumerate(price[order].tolist()):
        if passing[place] or abs(value - reference) >= band * reference:
            passing[place] = True
            reference = value
    mask = np.empty(len(ids), np.bool_)
    mask[order] = passing
    return mask


def _canonical(name: str) -> str:
    """EXCHANGE|token with the exchange in upper case and the token as keys carry it."""
    exchange, _, token = name.partition("|")
    return f"{exchange.upper()}|{sanitise(token)}"
