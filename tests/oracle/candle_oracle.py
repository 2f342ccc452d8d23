"""The dumb twin of the store: plain Python over all ticks ever applied, with nothing incremental in it.

It shares no code with the package. A test feeds it what it feeds the store and compares every key.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

MAKES_CANDLE = {2, 3}


class Tick(NamedTuple):
    """One applied tick; `day` is days from 1970, `minute` the IST minute, -1 is a missing integer."""

    day: int
    minute: int
    ms: int
    price: float
    qty: int
    volume: int
    oi: int
    phase: int
    source: int


class Minute(NamedTuple):
    """What a minute amounts to; `ticks` 0 means that it makes no candle."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    oi: int
    volume_low: int
    volume_high: int
    ticks: int
    first_ms: int
    last_ms: int
    source: int
    phase: int


class Event(NamedTuple):
    """A candle that a commit closed (revision 0) or amended; `gap`: ticks of it are missing."""

    day: int
    minute: int
    candle: Minute
    revision: int
    gap: bool


def text(number: float) -> str:
    """The shortest decimal that reads back equal, without exponent and without a trailing .0."""
    plain = format(Decimal(repr(number)), "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def code(minute: int) -> str:
    """HHMM00 without leading zeros."""
    return str(minute // 60 * 10000 + minute % 60 * 100)


@dataclass
class OracleDay:
    """All ticks of one instrument's day by minute, which minutes have gaps (and their phases), and which are
    final at which revision."""

    ticks: dict[int, list[Tick]] = field(default_factory=dict)
    gaps: dict[int, int] = field(default_factory=dict)
    final: set[int] = field(default_factory=set)
    revision: dict[int, int] = field(default_factory=dict)
    superseded: bool = False

    def minutes(self) -> dict[int, Minute]:
        """Every touched minute by the rules, from nothing but the ticks."""
        volumes = {m: [t.volume for t in ticks if t.volume >= 0] for m, ticks in self.ticks.items()}
        result = {}
        for minute, ticks in sorted(self.ticks.items()):
            earlier = [v for m, vs in volumes.items() if m < minute for v in vs]
            everything = [v for vs in volumes.values() for v in vs]
            own = volumes[minute]
            quantities = [t.qty for t in ticks if t.volume < 0 and t.qty >= 0]
            candle = ticks[0].phase in MAKES_CANDLE
            if own:
                volume = max(0, max(own) - max(earlier)) if earlier else max(own) - min(everything)
            else:
                volume = sum(quantities) if quantities and candle else -1
            low, high = (min(own), max(own)) if own else (-1, -1)
            if not candle:
                if own:
                    result[minute] = Minute(0, 0, 0, 0, volume, -1, low, high, 0, 0, 0, 0, ticks[0].phase)
                continue
            ordered = [t for t in ticks if t.volume >= 0] or ticks
            ordered = sorted(ordered, key=lambda t: (t.volume, t.ms))
            first, last = ordered[0], ordered[-1]
            prices = [t.price for t in ticks]
            source = 0
            for tick in ticks:
                source |= tick.source
            result[minute] = Minute(
                first.price,
                max(prices),
                min(prices),
                last.price,
                volume,
                last.oi,
                low,
                high,
                len(ticks),
                first.ms,
                last.ms,
                source,
                ticks[0].phase,
            )
        return result

    def touched(self) -> list[int]:
        """Minutes that left a trace, ascending."""
        return sorted(self.minutes())

    def candles(self) -> dict[int, Minute]:
        """The minutes that are candles."""
        return {m: c for m, c in self.minutes().items() if c.ticks}

    def open_minute(self) -> int | None:
        """The running candle: the newest one if it isn't final."""
        candles = self.candles()
        return max(candles) if candles and max(candles) not in self.final else None


@dataclass
class OracleInstrument:
    """One instrument's days and the lists written for it."""

    name: str
    days: dict[int, OracleDay] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    newest: int = -1

    def apply(
        self,
        ticks: list[Tick],
        closes: list[tuple[int, int]],
        marks: Sequence[tuple[int, int, int]] = (),
    ) -> list[Event]:
        """One commit's ticks in offset order, close orders (day, minute) and gap marks (day, minute, phase).

        A mark on a day newer than all begins that day, as a tick would; it makes no day that is older.
        """
        events = []
        # Without a candle and a cumulative volume a tick leaves no trace.
        ticks = [t for t in ticks if t.phase in MAKES_CANDLE or t.volume >= 0]
        alive = {t.day for t in ticks} | {d for d, _ in closes}
        for number in sorted(alive | {d for d, _, _ in marks}):
            if number not in self.days:
                if number not in alive and number < self.newest:
                    continue
                self.days[number] = OracleDay(superseded=number < self.newest)
                if number > self.newest:
                    if self.newest >= 0:
                        previous = self.days[self.newest]
                        running = previous.open_minute()
                        if running is not None:
                            events += self._settle(self.newest, previous, previous.candles(), {running})
                        previous.superseded = True
                    self.newest = number
            day = self.days[number]
            before, gaps_before = day.candles(), set(day.gaps)
            orders = {m for d, m in closes if d == number}
            for tick in ticks:
                if tick.day == number:
                    day.ticks.setdefault(tick.minute, []).append(tick)
            for marked, minute, phase in marks:
                if marked == number:
                    day.gaps.setdefault(minute, phase)
            events += self._settle(number, day, before, orders, set(day.gaps) - gaps_before)
        return events

    def force_close(self) -> list[Event]:
        """Close the running candle of the newest day."""
        if self.newest < 0:
            return []
        day = self.days[self.newest]
        running = day.open_minute()
        return [] if running is None else self._settle(self.newest, day, day.candles(), {running})

    def _settle(
        self,
        number: int,
        day: OracleDay,
        before: dict[int, Minute],
        orders: set[int],
        fresh_gaps: Set[int] = frozenset(),
    ) -> list[Event]:
        candles, touched, published = day.candles(), day.touched(), []
        for minute, candle in candles.items():
            over = day.superseded or minute < touched[-1] or minute in orders
            if minute in day.final:
                if candle != before[minute] or minute in fresh_gaps:
                    day.revision[minute] += 1
                    published.append(minute)
            elif over:
                day.final.add(minute)
                day.revision[minute] = 0
                published.append(minute)
        if not day.superseded:
            self._write_lists(day, candles, published, changed=candles != before)
        return [Event(number, m, candles[m], day.revision[m], m in day.gaps) for m in published]

    def _write_lists(
        self, day: OracleDay, candles: dict[int, Minute], published: list[int], changed: bool
    ) -> None:
        def values(minute: int) -> list[str]:
            c = candles[minute]
            volume = "" if c.volume < 0 else str(c.volume)
            return [text(c.open), text(c.high), text(c.low), text(c.close), volume]

        for minute in published:
            self.lists[code(minute) + ":"] = values(minute)
        final = [m for m in candles if m in day.final]
        if final and published:
            self.lists["_confirmed_:"] = [*values(max(final)), code(max(final))]
        if candles and (changed or published):
            self.lists["_latest_:"] = [*values(max(candles)), code(max(candles))]


def event_bytes(date: int, event: Event) -> bytes:
    """An event's value as the stream carries it, the session date being YYYYMMDD."""
    record = record_bytes(event.candle, True, event.revision, event.gap)
    return struct.pack("<IHH", date, event.minute, 0) + record


def record_bytes(candle: Minute, final: bool, revision: int, gap: bool) -> bytes:
    """An 80-byte record."""
    return struct.pack("<4d4qI3HBBI", *candle, final + 2 * gap, revision)
