"""Journals as readers see them: without a lock, safe beside the writer."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from ray_ingest.core.gaps import is_note
from ray_ingest.core.instruments import sanitise
from ray_ingest.core.partition import partition_of
from ray_ingest.journal.block import Block
from ray_ingest.journal.names import FILE as NAMES_FILE
from ray_ingest.journal.names import Name, read_names
from ray_ingest.journal.producer import LOCK, ProducerFile, partition_dir, producers_in
from ray_ingest.journal.segment import Segment, open_segment, segment_blocks, segment_paths
from ray_ingest.model import TICK
from ray_ingest.store.locks import FileLock

TICKS_SCHEMA = {
    "exchange": pl.String,
    "token": pl.String,
    "event_time_ms": pl.Int64,
    "last_price": pl.Float64,
    "last_qty": pl.Int64,
    "day_volume": pl.Int64,
    "oi": pl.Int64,
    "receive_time_ms": pl.Int64,
    "source": pl.String,
}
"""The columns of `JournalReader.ticks`, those of a tick file; `receive_time_ms` is when it was written."""


Start = Callable[[str, int], int]
"""The offset from which on to read, by producer and partition."""


@dataclass(frozen=True, slots=True)
class JournalInfo:
    """One producer's journal: by partition the offsets [first, end) it has; bytes of ticks in all; event
    times and writing in epoch ms, None and 0 where there is no tick."""

    name: str
    producer: str
    partitions: int
    first: list[int]
    end: list[int]
    size_bytes: int
    oldest_event_ms: int | None
    newest_event_ms: int | None
    newest_written_ms: int


class JournalReader:
    """All journals of a folder; one that is written to is read as far as it is when it is asked.

    All methods raise JournalError, in one line, for damage and for what can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def producers(self) -> list[ProducerFile]:
        """Whose journals there are, the oldest first."""
        return producers_in(self.folder)

    def journals(self) -> list[JournalInfo]:
        """What is in each journal, the oldest producer first."""
        return [self._info(producer) for producer in self.producers()]

    def writer(self, producer: str) -> str:
        """The process id of who is writing the journal, "" when nobody is."""
        path = self.folder / producer / LOCK
        if not path.exists():
            return ""
        with FileLock(path) as lock:
            return lock.read() if lock.is_held_elsewhere() else ""

    def names(self, producer: str) -> list[Name]:
        """(exchange, token, source) of the ids in the producer's ticks; the list's index is the id."""
        return read_names(self.folder / producer / NAMES_FILE)[0]

    def paths(self, producer: str, partition: int) -> list[Path]:
        """The partition's segment files in the order of their offsets."""
        folder = partition_dir(self.folder / producer, partition)
        # A listing may miss a file that is made meanwhile and show a later one; the next has both.
        newest = max(segment_paths(folder), default=None)
        return [path for path in segment_paths(folder) if newest is not None and path <= newest]

    def segments(self, producer: str, partition: int) -> list[tuple[Path, Segment]]:
        """The partition's segment files in the order of their offsets, and what they hold."""
        paths = self.paths(producer, partition)
        found = []
        for path in paths:
            try:
                found.append((path, open_segment(path, last=path == paths[-1])[0]))
            except FileNotFoundError:  # trimmed since
                continue
        return found

    def blocks(self, producer: str, partition: int, start: int = 0) -> Iterator[Block]:
        """The blocks that hold offsets from `start` on, in the order of their offsets."""
        for path, segment in self.segments(producer, partition):
            if segment.end > start:
                try:
                    yield from segment_blocks(path, segment, max(start, segment.first), segment.end)
                except FileNotFoundError:
                    continue

    def blocks_as_written(
        self, producers: Sequence[ProducerFile], start: Start = lambda producer, partition: 0
    ) -> Iterator[tuple[ProducerFile, int, Block]]:
        """The blocks of all partitions of these producers in the order they were written, each with its
        producer and partition: those that hold offsets from `start(producer, partition)` on."""
        sequences = [
            (producer, partition) for producer in producers for partition in range(producer.partitions)
        ]

        def blocks_of(number: int) -> Iterator[tuple[int, int, Block]]:
            producer, partition = sequences[number]
            for block in self.blocks(producer.producer, partition, start(producer.producer, partition)):
                yield block.written_ms, number, block

        merged = heapq.merge(*map(blocks_of, range(len(sequences))), key=itemgetter(0, 1))
        return ((*sequences[number], block) for _, number, block in merged)

    def ticks_as_written(
        self, producers: Sequence[ProducerFile], rows: int
    ) -> Iterator[tuple[ProducerFile, npt.NDArray[np.void], npt.NDArray[np.int64]]]:
        """The ticks of these producers in the order they were written, gap notes left out: (producer, 1 to
        `rows` TICK rows, when each was written in epoch ms)."""
        for producer, group in groupby(self.blocks_as_written(producers), itemgetter(0)):
            held: list[tuple[npt.NDArray[np.void], int]] = []
            count = 0
            for _, _, block in group:
                held.append((block.ticks(), block.written_ms))
                count += block.length
                if count >= rows:
                    yield from ((producer, *part) for part in _joined(held, rows))
                    held, count = [], 0
            yield from ((producer, *part) for part in _joined(held, rows))

    def ticks(self, exchange: str, token: str, start_ms: int, end_ms: int) -> pl.DataFrame:
        """Ticks of one instrument with event times in [start_ms, end_ms), in `TICKS_SCHEMA`: by producer, the
        oldest first, then by offset. The token with spaces or underscores; missing integers are null, gap
        notes left out."""
        frames = [
            frame
            for producer in self.producers()
            for frame in self._ticks(producer, (exchange.upper(), sanitise(token)), start_ms, end_ms)
        ]
        return pl.concat(frames) if frames else pl.DataFrame(schema=TICKS_SCHEMA)

    def _ticks(
        self, producer: ProducerFile, wanted: tuple[str, str], start_ms: int, end_ms: int
    ) -> Iterator[pl.DataFrame]:
        names = self.names(producer.producer)
        ids = [i for i, (exchange, token, _) in enumerate(names) if (exchange, sanitise(token)) == wanted]
        if not ids:
            return
        partition = partition_of(*wanted, producer.partitions)
        for path, segment in self.segments(producer.producer, partition):
            newest_ms, oldest_ms = segment.newest_event_ms, segment.oldest_event_ms
            if newest_ms is None or oldest_ms is None or newest_ms < start_ms or oldest_ms >= end_ms:
                continue
            parts, written = [], []
            for block in segment_blocks(path, segment, segment.first, segment.end):
                ticks = block.ticks()
                times = ticks["event_time_ms"]
                chosen = np.isin(ticks["instrument"], ids) & (times >= start_ms) & (times < end_ms)
                ticks = ticks[chosen & ~is_note(ticks)]
                if len(ticks):
                    parts.append(ticks)
                    written.append(np.full(len(ticks), block.written_ms))
            if parts:
                yield tick_frame(np.concatenate(parts), np.concatenate(written), names)

    def _info(self, producer: ProducerFile) -> JournalInfo:
        first, end, segments = [], [], []
        for partition in range(producer.partitions):
            found = [segment for _, segment in self.segments(producer.producer, partition)]
            first.append(found[0].first if found else 0)
            end.append(found[-1].end if found else 0)
            segments += found
        return JournalInfo(
            producer.name,
            producer.producer,
            producer.partitions,
            first,
            end,
            sum(segment.size for segment in segments),
            min((s.oldest_event_ms for s in segments if s.oldest_event_ms is not None), default=None),
            max((s.newest_event_ms for s in segments if s.newest_event_ms is not None), default=None),
            max((s.newest_written_ms for s in segments), default=0),
        )


def _joined(
    held: list[tuple[npt.NDArray[np.void], int]], rows: int
) -> Iterator[tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]]:
    """The blocks' ticks without gap notes and their times of writing, at most `rows` at once."""
    if not held:
        return
    ticks = np.concatenate([ticks for ticks, _ in held])
    written_ms = np.repeat([written for _, written in held], [len(ticks) for ticks, _ in held])
    plain = ~is_note(ticks)
    ticks, written_ms = ticks[plain], written_ms[plain]
    for at in range(0, len(ticks), rows):
        yield ticks[at : at + rows], written_ms[at : at + rows]


def tick_frame(
    ticks: npt.NDArray[np.void], written_ms: npt.NDArray[np.int64], names: list[Name]
) -> pl.DataFrame:
    """TICK rows of a producer that are no gap notes as a frame in `TICKS_SCHEMA`."""
    texts = pl.DataFrame(names, schema=["exchange", "token", "source"], orient="row")[ticks["instrument"]]
    columns = {name: np.ascontiguousarray(ticks[name]) for name in TICK.names or () if name in TICKS_SCHEMA}
    frame = pl.DataFrame({**columns, "receive_time_ms": written_ms}).with_columns(texts)
    nullable = [pl.when(pl.col(name) != -1).then(pl.col(name)) for name in ("last_qty", "day_volume", "oi")]
    return frame.with_columns(nullable).select(pl.col(name).cast(kind) for name, kind in TICKS_SCHEMA.items())
