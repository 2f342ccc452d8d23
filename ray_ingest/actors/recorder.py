"""A producer's sequences on their way into its journal: names, what is there already, what is known of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ray_ingest.core.gaps import is_note
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.core.preparation import Preparation
from ray_ingest.feeds.source import TickSource
from ray_ingest.journal import Journal, JournalSize
from ray_ingest.model import ALL_INSTRUMENTS, TICK

REMEMBERED_TICKS = 200_000  # of a journal's end: what a broker sends again after a restart is among them
LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class RecordedSequence:
    """The sequence of one partition in a journal, as a sender reads it."""

    journal: Journal
    partition: int

    @property
    def first(self) -> int:
        """The lowest offset there is."""
        return self.journal.first(self.partition)

    @property
    def end(self) -> int:
        """The offset the next tick gets."""
        return self.journal.end(self.partition)

    def read(self, offset: int, limit: int) -> npt.NDArray[np.void]:
        """1 to `limit` TICK rows from `offset` on."""
        return self.journal.read(self.partition, offset, limit)

    def skip_to(self, offset: int) -> None:
        """The sequence goes on at `offset`, beyond its end."""
        self.journal.skip_to(self.partition, offset)


class Recorder:
    """Appends prepared ticks to a journal.

    Instrument ids become the journal's, which outlive the source's. A source that is read again from its
    first tick gets what is journaled already passed over; a live one goes on behind it.
    """

    def __init__(self, journal: Journal, source: TickSource, partitions: int) -> None:
        self._journal = journal
        self._source = source
        self._sequences = [RecordedSequence(journal, partition) for partition in range(partitions)]
        self._position = [0] * partitions  # of a source that is read from its first tick
        self._ids: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._size, self._sized_s = journal.disk_use(), time.monotonic()

    @property
    def table(self) -> InstrumentTable:
        """The names of the ids in the journal."""
        return self._journal.table

    @property
    def created_ms(self) -> int:
        """When (epoch ms) the journal was made."""
        return self._journal.created_ms

    @property
    def silent_since_ms(self) -> int:
        """From when on (epoch ms) ticks may be missing: none later are in the journal. 0 if none are at all.

        A tick is written some time after it happened, so the wall clock alone would tell too late a time.
        """
        return min(self._journal.last_written_ms, self._journal.last_event_ms)

    @property
    def size(self) -> JournalSize:
        """How big the journal is, looked at once a second; for any thread."""
        now_s = time.monotonic()
        if now_s - self._sized_s >= LOOK_S:
            self._size, self._sized_s = self._journal.disk_use(), now_s
        return self._size

    def sequence(self, partition: int) -> RecordedSequence:
        """What the partition's sender reads from."""
        return self._sequences[partition]

    def append(self, partition: int, ticks: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Journal the next prepared ticks (TICK rows with the source's ids) of a partition; returns those to
        be sent, with the journal's ids. Raises JournalError, and then nothing of it happened."""
        known = 0 if self._source.live else self._sequences[partition].end - self._position[partition]
        fresh = ticks[max(0, known) :]
        if len(fresh):
            fresh = self._renamed(fresh)
            self._journal.append(partition, fresh)
        self._position[partition] += len(ticks)
        return fresh

    def remind(self, preparation: Preparation) -> None:
        """Tell what was sent last: a broker sends it again after a restart."""
        if self._source.live:
            for sequence in self._sequences:
                for ticks in self._tail(sequence):
                    preparation.remember(ticks)

    def told_until_ms(self, apart: npt.NDArray[np.uint32]) -> int:
        """`silent_since_ms` of the instruments but `apart` (the source's ids), whose ticks say nothing of the
        others'. When the remembered ends have none of the others': where the first of them begins."""
        if not len(apart):
            return self.silent_since_ms
        begins: list[int] = []
        newest: list[int] = []
        for sequence in self._sequences:
            tail = np.concatenate([np.zeros(0, TICK), *self._tail(sequence)])
            begins += tail["event_time_ms"][:1].tolist()
            others = tail["event_time_ms"][~np.isin(tail["instrument"], apart)]
            newest += [int(others.max())] if len(others) else []
        return min([self._journal.last_written_ms, *(newest or begins)])

    def trim(self, committed: Sequence[int], now_ms: int) -> None:
        """Let go of what is old and, by partition, below the committed offset."""
        self._journal.trim(committed, now_ms)

    def close(self) -> None:
        """Everything is on disk, and another process may open the journal."""
        self._journal.close()

    def _tail(self, sequence: RecordedSequence) -> Iterator[npt.NDArray[np.void]]:
        """What was journaled last of a sequence, gap notes aside, by the source's ids."""
        entries = self._journal.table.entries
        ids = np.array([self._source.table.intern(e.exchange, e.token, e.source) for e in entries], np.uint32)
        offset = max(sequence.first, sequence.end - REMEMBERED_TICKS)
        while offset < sequence.end:
            ticks = sequence.read(offset, REMEMBERED_TICKS)
            offset += len(ticks)
            ticks = ticks[~is_note(ticks)]
            ticks["instrument"] = ids[ticks["instrument"]]
            yield ticks

    def _renamed(self, ticks: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        known, entries = len(self._ids), self._source.table.entries
        if known < len(entries):
            self._ids = np.append(self._ids, self._journal.learn(entries[known:]))
        named = ticks["instrument"] != ALL_INSTRUMENTS
        renamed = ticks.copy()
        renamed["instrument"][named] = self._ids[ticks["instrument"][named]]
        return renamed
