"""A core flush plan in the store's words: groups by key stem, and the claim's running candles by name."""

from __future__ import annotations

from collections.abc import Sequence

from ray_ingest.core.calendar import Calendar
from ray_ingest.core.directory import Directory
from ray_ingest.core.flush_plan import FlushPlan
from ray_ingest.core.instruments import split_name
from ray_ingest.model import MINUTE_MS, date_number, minute_start_ms
from ray_ingest.store.keys import Keys
from ray_ingest.store.partition import Claim, Flush, Group


class GroupCache:
    """Groups recur flush after flush: built once each, forgotten all at once when they get too many."""

    CAPACITY = 200_000

    def __init__(self, directory: Directory, calendar: Calendar, keys: Keys) -> None:
        self._directory = directory
        self._calendar = calendar
        self._keys = keys
        self._groups: dict[tuple[int, int], Group] = {}

    def flush_of(self, plan: FlushPlan, offsets: Sequence[tuple[str, int, int]]) -> Flush:
        """The commit for a plan and its offset ranges (producer, from, to)."""
        if len(self._groups) > self.CAPACITY:
            self._groups.clear()
        groups = [
            self._groups.get(pair) or self._build(*pair)
            for pair in zip(plan.group_instrument.tolist(), plan.group_day.tolist(), strict=True)
        ]
        return Flush(offsets, plan.counters, groups, plan.rows, plan.gaps)

    def _build(self, instrument: int, day: int) -> Group:
        entry = self._directory.instruments[instrument]
        first_minute, slots = self._calendar.span(int(self._directory.class_index[instrument]), day)
        group = Group(
            self._keys.stem(entry.exchange, entry.token),
            entry.name,
            day,
            date_number(day),
            first_minute,
            slots,
        )
        self._groups[instrument, day] = group
        return group


def open_ends(claim: Claim) -> dict[tuple[str, str], int]:
    """End (epoch ms) of each running candle's minute by (exchange, token)."""
    ends = {}
    for registered in claim.instruments.values():
        if registered.open_minute is not None:
            exchange, token = split_name(registered.name)
            start_ms = minute_start_ms(registered.date, registered.open_minute)
            ends[exchange, token] = start_ms + MINUTE_MS
    return ends
