"""Reads of day strings: whole ones, or the newest candle of many. redis-py's errors pass through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

from ray_ingest.model import DAY_HEADER, DAY_MINUTES, date_number, day_of
from ray_ingest.store.records import (
    Candle,
    Day,
    DayHeader,
    candle_of,
    day_part,
    parse_day,
    parse_header,
    parse_record,
    record_range,
)
from ray_ingest.store.registry import Known, Registry
from ray_ingest.store.scripts import Scripts

LOOK_BACK_DAYS = 10
_DAYS_PER_READ = 64  # 2 MB a reply: the server answers nobody else while it copies one

SlotOf = Callable[[DayHeader], int]


def latest_slot(header: DayHeader) -> int:
    """Slot of a day's newest candle, running or closed; -1 if it has none."""
    return max(header.open_slot, header.confirmed_slot)


def confirmed_slot(header: DayHeader) -> int:
    """Slot of a day's last closed candle; -1 if it has none."""
    return header.confirmed_slot


class DayReader:
    """Day strings of the instruments in a registry."""

    def __init__(self, client: redis.Redis, registry: Registry, scripts: Scripts) -> None:
        self._client = client
        self._registry = registry
        self._scripts = scripts

    def day(self, known: Known, date: int) -> Day | None:
        """The session day YYYYMMDD, None where there is none."""
        key = known.day_key(date)
        value: Any = self._client.get(key)
        return None if value is None else parse_day(value, key)

    def days(self, known: Known, dates: Sequence[int], from_minute: int, to_minute: int) -> list[Day]:
        """The minutes of the session days YYYYMMDD that the store has, from `from_minute` of the first
        date's day up to `to_minute` (exclusive) of the last one's; only those travel."""
        days = []
        for first in range(0, len(dates), _DAYS_PER_READ):
            part = dates[first : first + _DAYS_PER_READ]
            begins = from_minute if first == 0 else 0
            ends = to_minute if first + len(part) == len(dates) else DAY_MINUTES
            replies: Any = self._scripts.run("range", [known.day_key(d) for d in part], [begins, ends])
            days += [
                day_part(date, first_minute, records)
                for date, (first_minute, records) in zip(part, replies, strict=True)
                if records
            ]
        return days

    def newest_day(self, instrument: str) -> Day | None:
        """The newest session day, in one round trip for a known instrument.

        A day string says itself when it is no longer the newest, so the registry is asked only then.
        """
        (known,) = self._registry.find([instrument])
        day = self.day(known, known.date)
        if day is None or day.header.superseded:
            (known,) = self._registry.find([instrument], fresh=True)
            day = self.day(known, known.date)
        return day

    def newest(self, names: Sequence[str], slot_of: SlotOf) -> list[Candle | None]:
        """The candle `slot_of` chooses of each instrument's newest day that has one, in three round trips.

        A session day begins before its first candle does: until then the newest is an earlier day's, looked
        for through `LOOK_BACK_DAYS` calendar days.
        """
        known = self._registry.find(names, fresh=True)
        places = self._newest_slots(known, slot_of)
        records = self._ranges(
            (known[index].day_key(header.date), *record_range(slot))
            for index, (header, slot) in places.items()
        )
        candles: list[Candle | None] = [None] * len(known)
        for (index, (header, slot)), record in zip(places.items(), records, strict=True):
            minute = header.first_minute + slot
            candles[index] = candle_of(known[index].name, header.date, minute, parse_record(record))
        return candles

    def _newest_slots(self, known: Sequence[Known], slot_of: SlotOf) -> dict[int, tuple[DayHeader, int]]:
        """Header and slot of the newest candle, by index of `known`."""
        found: dict[int, tuple[DayHeader, int]] = {}
        for back in range(LOOK_BACK_DAYS + 1):
            left = {
                index: entry.day_key(date_number(day_of(entry.date) - back) if back else entry.date)
                for index, entry in enumerate(known)
                if index not in found
            }
            heads = self._ranges((key, 0, DAY_HEADER.itemsize - 1) for key in left.values())
            for (index, key), head in zip(left.items(), heads, strict=True):
                header = parse_header(head, key) if head else None
                if header is not None and slot_of(header) >= 0:
                    found[index] = header, slot_of(header)
            if len(found) == len(known):
                break
        return found

    def _ranges(self, wanted: Iterable[tuple[str, int, int]]) -> list[bytes]:
        """Bytes first…last of each key, in one round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            for key, first, last in wanted:
                pipeline.getrange(key, first, last)
            return list(pipeline.execute())
