"""Which instruments trade at a moment, and which of them so continuously that silence means something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np

from ray_ingest.core.calendar import Calendar
from ray_ingest.core.instruments import split_name
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.model import Phase

Group: TypeAlias = tuple[int, ...]
"""Calendar classes an instrument may be of: two where the calendar can't tell F&O stocks from others."""

_NO_STOCK = "-"
_REFRESH_S = 0.2


class TradingHours:
    """The calendar, asked about moments. Auctions make candles too, but of few prices: their silence says
    nothing, so only regular phases count as busy."""

    def __init__(self, calendar: Mapping[str, object]) -> None:
        """Raises ConfigError for a bad calendar (the parsed file)."""
        table = CalendarTable.from_mapping(calendar)
        self._told_apart = bool(table.fno_stocks)
        if not self._told_apart:  # with one stock listed, the calendar names both classes
            table = CalendarTable.from_mapping({**calendar, "fno_stocks": [_NO_STOCK]})
        self._calendar = Calendar(table)

    def group(self, exchange: str, token: str) -> Group:
        """The instrument's classes."""
        own = self._calendar.classify(exchange, token)[0]
        if self._told_apart:
            return (own,)
        return tuple(sorted({own, self._calendar.classify(exchange, _NO_STOCK)[0]}))

    def busy(self, groups: Iterable[Group], now_ms: int) -> frozenset[Group]:
        """Those of the groups that are in a regular phase, whichever of its classes an instrument is of."""
        return frozenset(g for g in groups if all(self._phase(c, now_ms) == Phase.REGULAR for c in g))

    def is_open(self, groups: Iterable[Group], now_ms: int) -> bool:
        """Whether any instrument of the groups may be in any phase."""
        return any(self._phase(c, now_ms) != Phase.NONE for group in groups for c in group)

    def _phase(self, class_index: int, now_ms: int) -> int:
        phase, _, _ = self._calendar.locate(np.array([class_index], np.uint8), np.array([now_ms], np.int64))
        return int(phase[0])


class InstrumentHours:
    """The hours of a set of instruments, looked up now and then. `busy` and `is_open` as above."""

    def __init__(self, hours: TradingHours) -> None:
        self.busy: frozenset[Group] = frozenset()
        self.is_open = False
        self._hours = hours
        self._groups: frozenset[Group] = frozenset()
        self._due_s = 0.0

    def of(self, names: Iterable[str]) -> None:
        """The set is these, by name, from the next look on."""
        self._groups = frozenset(self._hours.group(*split_name(name)) for name in names)
        self._due_s = 0.0

    def look(self, now_s: float, now_ms: int) -> None:
        """Bring it up to date; `now_s` is of any steady clock, `now_ms` epoch ms."""
        if now_s >= self._due_s:
            self._due_s = now_s + _REFRESH_S
            self.busy = self._hours.busy(self._groups, now_ms)
            self.is_open = self._hours.is_open(self._groups, now_ms)
