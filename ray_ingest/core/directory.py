"""The instruments an owner knows, numbered, whichever producers name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ray_ingest.core.calendar import UNKNOWN, Calendar
from ray_ingest.core.instruments import Instrument, name_fault, sanitise
from ray_ingest.core.partition import partition_of
from ray_ingest.model import ALL_INSTRUMENTS, Source

NEVER_MS = 2**62

REASONS = ("", "token_collision", "unknown_exchange", "holiday", "outside_session")
"""Why an owner rejects a tick, by code."""
_COLLISION, _UNKNOWN_EXCHANGE = 1, 2


@dataclass(frozen=True, slots=True)
class Due:
    """Running candles whose minute is over: instrument numbers and the ends of their minutes (epoch ms)."""

    instrument: npt.NDArray[np.int64]
    end_ms: npt.NDArray[np.int64]


class Directory:
    """Instruments by number, as growing columns.

    `class_index` is the calendar's, `fault` a code of `REASONS`, `open_end_ms` the end of the running
    candle's minute (`NEVER_MS`: none runs), `own` whether it is of this owner's partition: producers name all
    of theirs. Numbers are given in order of first sight and never change.
    """

    def __init__(self, calendar: Calendar, partition: int = 0, partitions: int = 1) -> None:
        self._calendar = calendar
        self._partition = partition
        self._partitions = partitions
        self._numbers: dict[tuple[str, str], int] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self.instruments: list[Instrument] = []
        self.unclassified = 0
        self.any_fault = False
        self._reopened: Mapping[tuple[str, str], int] = {}
        self.class_index: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.fault: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.open_end_ms: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.own: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self.instruments)

    def number(self, entry: Instrument) -> int:
        """The instrument's number; two tokens that sanitise alike are two, and the later one is at fault."""
        key = (entry.exchange, entry.token)
        known = self._numbers.get(key)
        if known is None:
            known = self._numbers[key] = self._add(entry)
        return known

    @property
    def open_candles(self) -> int:
        """Instruments with a running candle."""
        return int(np.count_nonzero(self.open_end_ms < NEVER_MS))

    def reopen(self, open_end_ms: Mapping[tuple[str, str], int], names: Iterable[str] = ()) -> None:
        """Forget all running candles but those of the store: (exchange, token) → end (epoch ms).

        `names` are all instruments of the store, "EXCHANGE|token": a token spelt otherwise collides.
        """
        for name in names:
            exchange, _, token = name.partition("|")
            self._tokens.setdefault((exchange, sanitise(token)), token)
        self._reopened = open_end_ms
        self.open_end_ms = np.array([self._stored_end(entry) for entry in self.instruments], np.int64)
        for exchange, token in open_end_ms:
            self.number(Instrument(exchange, token, ""))

    def run(self, instrument: npt.NDArray[np.int64], end_ms: npt.NDArray[np.int64]) -> None:
        """Candles of the minutes ending at `end_ms` run now, if they are newer than what ran before."""
        running = np.where(self.open_end_ms == NEVER_MS, 0, self.open_end_ms)
        np.maximum.at(running, instrument, end_ms)
        self.open_end_ms = np.where(running == 0, NEVER_MS, running)

    def due(self, watermark_ms: int) -> bool:
        """Whether any running candle's minute ends at or before the watermark."""
        return bool(len(self.open_end_ms)) and int(self.open_end_ms.min()) <= min(watermark_ms, NEVER_MS - 1)

    def close_due(self, watermark_ms: int) -> Due:
        """The running candles whose minute is over; they run no more."""
        over = np.flatnonzero(self.open_end_ms <= min(watermark_ms, NEVER_MS - 1))
        due = Due(over, self.open_end_ms[over])
        self.open_end_ms[over] = NEVER_MS
        return due

    def _stored_end(self, entry: Instrument) -> int:
        return self._reopened.get((entry.exchange, entry.token), NEVER_MS)

    def _add(self, entry: Instrument) -> int:
        class_index, exactly = self._calendar.classify(entry.exchange, entry.token)
        fault = _UNKNOWN_EXCHANGE if class_index == UNKNOWN else 0
        if not fault and not exactly:
            self.unclassified += 1
        name = (entry.exchange, sanitise(entry.token))
        if self._tokens.setdefault(name, entry.token) != entry.token:
            fault = _COLLISION
        self.instruments.append(entry)
        self.class_index = np.append(self.class_index, np.uint8(class_index))
        self.fault = np.append(self.fault, np.uint8(fault))
        self.open_end_ms = np.append(self.open_end_ms, np.int64(self._stored_end(entry)))
        own = partition_of(entry.exchange, entry.token, self._partitions) == self._partition
        self.own = np.append(self.own, np.bool_(own))
        self.any_fault = self.any_fault or bool(fault)
        return len(self.instruments) - 1


class ProducerNames:
    """One producer's instrument ids as an owner's numbers and sources; entries come in the table's order."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.number: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.source: npt.NDArray[np.uint16] = np.zeros(0, np.uint16)

    def __len__(self) -> int:
        return len(self.number)

    def cover(self, instrument: npt.NDArray[np.uint32]) -> bool:
        """Whether all of a producer's ids are known; a gap note's `ALL_INSTRUMENTS` is none."""
        unknown = instrument >= len(self)
        return not unknown.any() or bool((instrument[unknown] == ALL_INSTRUMENTS).all())

    def extend(self, start: int, entries: Iterable[tuple[str, str, str]]) -> None:
        """Learn (exchange, token, source) of ids from `start` on; those known already are passed over, and
        all of them when entries before them are missing.

        Names no key can carry stand for an unknown exchange: their ticks were rejected at the feed.
        """
        if start > len(self):
            return
        fresh = [Instrument(*entry) for entry in entries][len(self) - start :]
        numbers = [
            self._directory.number(e if not name_fault(e.exchange, e.token) else _NAMELESS) for e in fresh
        ]
        self.number = np.append(self.number, np.array(numbers, np.int64))
        self.source = np.append(self.source, np.array([Source.of(e.source) for e in fresh], np.uint16))


_NAMELESS = Instrument("", "", "")
