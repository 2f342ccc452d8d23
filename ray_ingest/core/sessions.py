"""The calendar's data, checked: dated phase tables, holidays, special sessions. `calendar.py` looks up in it.

Days are days since 1970-01-01 of the IST date, minutes are minutes of the IST day, and a window is half-open:
the minute it ends at is no longer in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TypeAlias

from ray_ingest.core.instruments import sanitise
from ray_ingest.errors import ConfigError
from ray_ingest.model import DAY_MINUTES, Phase

ANY_EXCHANGE = "*"
"""The segment of every exchange that has none of its own."""

ORDINARY = "ordinary"
"""What a special session's `phases` say when the class trades its usual hours on an unusual day."""

_EPOCH = date(1970, 1, 1).toordinal()
_PHASES = {phase.label: phase for phase in Phase if phase}
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Window:
    """The minutes `start` ≤ m < `end` of a day, all in one phase."""

    phase: Phase
    start: int
    end: int


Windows: TypeAlias = tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class CalendarTable:
    """A calendar file as data. Mappings by class hold every class, in the file's order.

    `classes`: (first day it holds for, its windows), ascending. `specials`: what replaces weekday, weekend
    and holiday on that day, None for the class's usual windows. `segments`: one class, or two of which the
    first holds the tokens in `fno_stocks` (sanitised) and the second all others. `expiry_segment`: whose
    session days end the life of keys, None where they only age.
    """

    name: str
    candle_phases: frozenset[Phase]
    every_day: bool
    first_day: int
    last_day: int
    assume_weekdays_after: bool
    expiry_segment: str | None
    fno_stocks: frozenset[str]
    segments: Mapping[str, tuple[str, ...]]
    classes: Mapping[str, tuple[tuple[int, Windows], ...]]
    holidays: Mapping[str, frozenset[int]]
    specials: Mapping[str, Mapping[int, Windows | None]]

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> CalendarTable:
        """The table of a parsed calendar file (see `conf/calendar/nse.yaml`).

        Raises ConfigError, naming the key, for a key that is unknown, missing, or holds something else.
        """
        top = _Entry("calendar", mapping)
        top.only(
            "name candle_phases session_days first_date last_date assume_weekdays_after keys_expire_with "
            "fno_stocks segments classes holidays special_sessions"
        )
        classes = {name: _dated_windows(entry) for name, entry in top["classes"].items()}
        segments = {name.upper(): _segment(entry, classes) for name, entry in top["segments"].items()}
        if not segments:
            raise top["segments"].wrong("a table with at least one exchange")
        expiry = top["keys_expire_with"]
        if expiry.value is not None and expiry.value not in segments:
            raise expiry.wrong("one of the segments above, or null")
        first, last = top["first_date"].day(), top["last_date"].day()
        if last < first:
            raise top["last_date"].wrong("a date after first_date")
        return cls(
            name=top["name"].text(),
            candle_phases=frozenset(_PHASES[entry.choice(_PHASES)] for entry in top["candle_phases"].each()),
            every_day=top["session_days"].choice(("weekdays", "every_day")) == "every_day",
            first_day=first,
            last_day=last,
            assume_weekdays_after=top["assume_weekdays_after"].flag(),
            expiry_segment=None if expiry.value is None else str(expiry.value),
            fno_stocks=frozenset(sanitise(str(entry.value)) for entry in top["fno_stocks"].each()),
            segments=segments,
            classes=classes,
            holidays=_holidays(top["holidays"], classes),
            specials=_specials(top["special_sessions"], classes),
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """A value of the file and the key that leads to it, so that every complaint can name it."""

    key: str
    value: object

    def wrong(self, expected: str) -> ConfigError:
        return ConfigError(f"{self.key}: {self.value!r} is not {expected}")

    def items(self) -> Iterable[tuple[str, _Entry]]:
        if not isinstance(self.value, Mapping):
            raise self.wrong("a table of keys and values")
        return [(str(name), _Entry(f"{self.key}.{name}", value)) for name, value in self.value.items()]

    def each(self) -> list[_Entry]:
        if not isinstance(self.value, list | tuple):
            raise self.wrong("a list")
        return [_Entry(f"{self.key}[{index}]", value) for index, value in enumerate(self.value)]

    def get(self, name: str) -> _Entry | None:
        return dict(self.items()).get(name)

    def __getitem__(self, name: str) -> _Entry:
        found = self.get(name)
        if found is None:
            raise ConfigError(f"{self.key}.{name} is missing")
        return found

    def only(self, names: str) -> None:
        for name, entry in self.items():
            if name not in names.split():
                raise ConfigError(f"{entry.key} is not a key of the calendar; there are: {names}")

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong("a text")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def choice(self, choices: Iterable[str]) -> str:
        if not isinstance(self.value, str) or self.value not in choices:
            raise self.wrong(f"one of {', '.join(choices)}")
        return self.value

    def day(self) -> int:
        return _day(self.value, self)


def _day(value: object, entry: _Entry) -> int:
    """Days since 1970-01-01; YAML readers give dates as text or as dates."""
    try:
        return date.fromisoformat(str(value)).toordinal() - _EPOCH
    except ValueError:
        raise entry.wrong("a date such as 2026-08-03") from None


def _minute(text: str, entry: _Entry) -> int:
    match = _CLOCK.fullmatch(text)
    minute = int(match[1]) * 60 + int(match[2]) if match else DAY_MINUTES + 1
    if minute > DAY_MINUTES:
        raise entry.wrong("a window such as '09:15-15:30' (several: '09:15-10:00, 11:30-12:30')")
    return minute


def _windows(table: _Entry) -> Windows:
    windows = []
    for label, entry in table.items():
        if label not in _PHASES:
            raise ConfigError(f"{entry.key} is not a phase; there are: {', '.join(_PHASES)}")
        for piece in entry.text().split(","):
            start, _, end = piece.strip().partition("-")
            windows.append(Window(_PHASES[label], _minute(start, entry), _minute(end, entry)))
            if windows[-1].start >= windows[-1].end:
                raise entry.wrong("a window that ends after it starts")
    windows.sort(key=lambda window: window.start)
    if not windows:
        raise table.wrong("a table of phases; days without any belong under holidays")
    for earlier, later in pairwise(windows):
        if later.start < earlier.end:
            raise ConfigError(f"{table.key}: {earlier.phase.label} and {later.phase.label} overlap")
    return tuple(windows)


def _dated_windows(table: _Entry) -> tuple[tuple[int, Windows], ...]:
    return tuple(sorted((_day(since, entry), _windows(entry)) for since, entry in table.items()))


def _segment(entry: _Entry, classes: Iterable[str]) -> tuple[str, ...]:
    names = tuple(item.choice(classes) for item in entry.each())
    if len(names) not in (1, 2):
        raise entry.wrong("one class, or two: that of fno_stocks and that of all others")
    return names


def _classes_and_days(group: _Entry, classes: Iterable[str]) -> tuple[list[str], list[tuple[int, _Entry]]]:
    named = group.get("classes")
    names = [item.choice(classes) for item in named.each()] if named else list(classes)
    return names, [(item.day(), item) for item in group["dates"].each()]


def _holidays(groups: _Entry, classes: Iterable[str]) -> dict[str, frozenset[int]]:
    days: dict[str, set[int]] = {name: set() for name in classes}
    for group in groups.each():
        group.only("note classes dates")
        names, dates = _classes_and_days(group, classes)
        for name in names:
            days[name].update(day for day, _ in dates)
    return {name: frozenset(found) for name, found in days.items()}


def _specials(groups: _Entry, classes: Iterable[str]) -> dict[str, dict[int, Windows | None]]:
    specials: dict[str, dict[int, Windows | None]] = {name: {} for name in classes}
    for group in groups.each():
        group.only("note classes dates phases")
        phases = group["phases"]
        windows = None if phases.value == ORDINARY else _windows(phases)
        names, dates = _classes_and_days(group, classes)
        for name in names:
            for day, entry in dates:
                if day in specials[name]:
                    raise ConfigError(f"{entry.key}: {entry.value} already has a special session of {name}")
                specials[name][day] = windows
    return specials
