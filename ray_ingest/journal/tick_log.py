"""One partition's sequence in a journal: segment files that follow one another, the last one growing."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ray_ingest.clock import epoch_ms
from ray_ingest.core.gaps import gap_of_all
from ray_ingest.errors import JournalError
from ray_ingest.journal.appender import Appender, sync_folder
from ray_ingest.journal.block import HOLE, TICKS, header
from ray_ingest.journal.segment import (
    INDEX_SUFFIX,
    Segment,
    open_segment,
    read_index,
    read_rows,
    segment_path,
    segment_paths,
    write_index,
)
from ray_ingest.model import TICK, GapReason

log = logging.getLogger(__name__)

SEGMENT_BLOCKS = 65_536  # a segment of tiny blocks ends by their number: opening it takes time for each

_NO_TICKS = np.zeros(0, TICK)


class TickLog:
    """The writer's side, for one thread; `sync` is for any other. `fsync` is always, everysec (whoever made
    this calls `sync`) or no.

    What a failed sync left unwritten can't be told, nor can a later one be believed: the next block then
    begins a segment, and has to be on disk before anything else is taken.
    """

    def __init__(self, folder: Path, segment_bytes: int, fsync: str) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._syncing = threading.Lock()
        self._failure: OSError | None = None
        folder.mkdir(mode=0o700, exist_ok=True)
        self.segments: list[Segment] = []
        paths = segment_paths(folder)
        for path in paths:
            segment, torn = open_segment(path, last=path == paths[-1])
            if torn:
                log.warning("%s: cut a torn tail of %s bytes", path, f"{torn:,}")
            elif path != paths[-1] and read_index(path) is None:
                write_index(path, segment)
            self.segments.append(segment)
        if not self.segments:
            self.segments.append(Segment(0, 0))
        self._file = Appender(self.path(self.segments[-1]), self.segments[-1].size)
        self.first = self._oldest_offset()

    @property
    def end(self) -> int:
        """The offset the next tick gets."""
        return self.segments[-1].end

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self.segments)

    @property
    def newest_event_ms(self) -> int | None:
        """The newest event time of all ticks."""
        return max((s.newest_event_ms for s in self.segments if s.newest_event_ms is not None), default=None)

    def path(self, segment: Segment) -> Path:
        """The segment's file."""
        return segment_path(self._folder, segment.first)

    def append(self, ticks: npt.NDArray[np.void]) -> None:
        """Write these TICK rows as one block at `end`. Raises JournalError; then nothing of it is there."""
        self._append(TICKS, len(ticks), ticks)

    def read(self, start: int, limit: int) -> npt.NDArray[np.void]:
        """See `Journal.read`."""
        if start < self.first:
            raise JournalError(
                f"{self._folder}: offset {start:,} is gone, the journal begins at {self.first:,}"
            )
        for segment in reversed(self.segments):
            if segment.first <= start < segment.end and limit > 0:
                return read_rows(self.path(segment), segment, start, limit)
        return _NO_TICKS.copy()

    def skip_to(self, offset: int) -> None:
        """See `Journal.skip_to`."""
        lost = offset - self.end
        if lost <= 0:
            return
        if self.first == self.end:
            self._continue_at(offset)
            return
        newest_ms, now_ms = self.newest_event_ms, epoch_ms()
        self._append(HOLE, lost, gap_of_all(newest_ms or now_ms, now_ms, GapReason.JOURNAL))

    def drop_oldest(self) -> int:
        """Remove the first segment, never the last one; returns its size in bytes."""
        dropped = self.segments[0]
        path = self.path(dropped)
        path.unlink(missing_ok=True)
        path.with_suffix(INDEX_SUFFIX).unlink(missing_ok=True)
        self.segments.pop(0)
        self.first = self._oldest_offset()
        return dropped.size

    def sync(self) -> None:
        """All of it is on disk. Raises OSError when it isn't, until an append has succeeded after that."""
        with self._syncing:
            if self._failure is None:
                try:
                    self._file.sync()
                except OSError as error:
                    self._failure = error
                    log.error(
                        "%s: couldn't be written to disk (%s): if the machine loses power, what was written "
                        "to it since the last sync may be damaged; ticks go on in a new segment",
                        self._file.path,
                        error.strerror or error,
                    )
            if self._failure is not None:
                raise self._failure

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, kind: bytes, count: int, rows: npt.NDArray[np.void]) -> None:
        last, failed = self.segments[-1], self._failure is not None
        if failed and last.size:
            self._begin(last.end)  # without an index: whoever opens the journal next looks at every byte
        elif last.size >= self._segment_bytes or last.blocks >= SEGMENT_BLOCKS:
            self._roll()
        last = self.segments[-1]
        payload = np.ascontiguousarray(rows).view(np.uint8).data
        written_ms = epoch_ms()
        head = header(kind, last.end, count, written_ms, payload)
        self._file.append(head, payload, durable=failed or self._fsync == "always")
        if failed:
            self._failure = None
        last.add(kind, count, self._file.size - last.size, written_ms, rows)

    def _roll(self) -> None:
        """Close the last segment, all of it on disk, and begin the next: only the last can be torn."""
        last = self.segments[-1]
        try:
            if self._fsync != "no":
                self.sync()
            write_index(self.path(last), last)
        except OSError as error:
            raise JournalError(f"{self.path(last)}: can't be closed: {error.strerror or error}") from None
        self._begin(last.end)

    def _continue_at(self, offset: int) -> None:
        """Nothing is in the last segment: one that begins at `offset` takes its place."""
        empty = self.segments[-1]
        self._begin(offset)
        self.segments.remove(empty)
        with suppress(OSError):  # an empty one before the first does no harm
            self.path(empty).unlink()
        self.first = self._oldest_offset()

    def _begin(self, first: int) -> None:
        path = segment_path(self._folder, first)
        try:
            with ExitStack() as undo:
                undo.callback(path.unlink, missing_ok=True)  # or it would be taken for what comes next
                file = Appender(path, 0)
                undo.callback(file.close)
                if self._fsync != "no":
                    sync_folder(self._folder)
                undo.pop_all()
        except OSError as error:
            raise JournalError(f"{self._folder}: no new segment: {error.strerror or error}") from None
        with self._syncing:
            self._file.close()
            self._file = file
        self.segments.append(Segment(first, first))

    def _oldest_offset(self) -> int:
        """From where on nothing is missing: somebody may have moved a damaged segment away."""
        first = self.segments[-1].first
        for segment in reversed(self.segments[:-1]):
            if segment.end != first:
                break
            first = segment.first
        return first
