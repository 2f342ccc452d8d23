"""A producer's journal as its one writer sees it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ray_ingest.core.instruments import Instrument, InstrumentTable
from ray_ingest.errors import JournalBusyError, JournalError
from ray_ingest.journal.names import Names
from ray_ingest.journal.producer import LOCK, ProducerFile, find_or_make, partition_dir
from ray_ingest.journal.retention import Limits, next_to_drop
from ray_ingest.journal.tick_log import TickLog
from ray_ingest.store.locks import FileLock

SYNC_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Where journals are, `folder/<producer>/`, and how they are kept.

    `fsync`: when what is appended is on disk for sure, power cut included: always (before `append` returns),
    everysec (within a second or so), no (when the system likes). A killed process loses nothing in any case.
    A segment file ends at `segment_bytes`; the oldest go after `keep_days` and while there are more than
    `keep_bytes` of a producer's.
    """

    folder: Path
    fsync: str = "everysec"
    segment_bytes: int = 64 << 20
    keep_days: int = 7
    keep_bytes: int = 50 << 30


@dataclass(frozen=True, slots=True)
class JournalSize:
    """Of one producer's journal: bytes and number of its segments; and size and rest of the disk they are on,
    in bytes, the rest being what this user may still write."""

    bytes: int
    segments: int
    disk_bytes: int
    disk_free_bytes: int


class Journal:
    """Ticks of one producer on local disk, by partition and offset; make it with `open`.

    For one thread. It holds the folder's lock until it is closed or its process ends, however it ends.

    Attributes:
        producer: its name in messages and in the store.
        created_ms: wall clock (epoch ms) at which the journal was made.
        table: the instruments whose ids its ticks carry; append-only, `learn` adds to it.
        last_written_ms: wall clock (epoch ms) at which the newest tick was appended, 0 if none was.
        last_event_ms: event time (epoch ms) of the newest tick, gap notes apart, of the partition that is
            behind the others in it; those without ticks don't count. 0 if there is no tick.
    """

    def __init__(self, settings: JournalSettings, producer: ProducerFile) -> None:
        self.producer = producer.producer
        self.created_ms = producer.created_ms
        self._settings = settings
        self._closing = threading.Event()
        folder = settings.folder / producer.producer
        with ExitStack() as undo:
            self._lock = undo.enter_context(_locked(folder / LOCK))
            self._names = Names(folder, durable=settings.fsync != "no")
            undo.callback(self._names.close)
            self._logs: list[TickLog] = []
            for partition in range(producer.partitions):
                log = TickLog(partition_dir(folder, partition), settings.segment_bytes, settings.fsync)
                undo.callback(log.close)
                self._logs.append(log)
            self._descriptors = undo.pop_all()
        self.table: InstrumentTable = self._names.table
        self._syncer: threading.Thread | None = None
        if settings.fsync == "everysec":
            self._syncer = threading.Thread(target=self._sync_now_and_then, name="journal-sync", daemon=True)
            self._syncer.start()

    @classmethod
    def open(
        cls, settings: JournalSettings, name: str, partitions: int, sequence: int, producer: str | None = None
    ) -> Journal:
        """The journal of a feed called `name`, as it was left: a torn tail is cut, and logged.

        Without a `producer` it is the newest one of that name, that many partitions and that version of the
        `sequence`; where there is none, a new one, called `<name>-<12 hex digits>`. With one it is that
        producer's, made if it is new.

        Raises JournalBusyError when another process has it; JournalError when a `producer`'s is of another
        kind, when it is damaged elsewhere than at its tail, or when the folder can't be used.
        """
        if settings.fsync not in ("always", "everysec", "no"):
            raise JournalError(f"journal.fsync={settings.fsync}: must be always, everysec or no")
        try:
            return cls(settings, find_or_make(settings.folder, name, partitions, sequence, producer))
        except OSError as error:
            raise JournalError(
                f"the journal can't use {error.filename or settings.folder} ({error.strerror or error}): set "
                "journal.folder to a folder that can be written"
            ) from None

    @property
    def last_written_ms(self) -> int:
        """See the class."""
        return max(s.newest_written_ms for log in self._logs for s in log.segments)

    @property
    def last_event_ms(self) -> int:
        """See the class."""
        newest = [log.newest_event_ms for log in self._logs]
        return min((time_ms for time_ms in newest if time_ms is not None), default=0)

    def disk_use(self) -> JournalSize:
        """How big it is now; for any thread. The disk counts as one of no bytes while it can't be asked."""
        segments = [segment.size for log in self._logs for segment in list(log.segments)]
        try:
            disk = os.statvfs(self._settings.folder)
        except OSError:
            return JournalSize(sum(segments), len(segments), 0, 0)
        return JournalSize(
            sum(segments), len(segments), disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        )

    def first(self, partition: int) -> int:
        """The offset from which on the journal has everything."""
        return self._logs[partition].first

    def end(self, partition: int) -> int:
        """The offset the next tick gets."""
        return self._logs[partition].end

    def learn(self, entries: Iterable[Instrument]) -> npt.NDArray[np.uint32]:
        """Their ids in `table`, in the same order; new ones are appended first. Raises JournalError."""
        return self._names.learn(entries)

    def append(self, partition: int, ticks: npt.NDArray[np.void]) -> None:
        """Write these TICK rows, whose instruments were learnt, at `end(partition)`.

        Raises JournalError when they can't be written; nothing of them is there then, so the same call may
        succeed later. After a sync that failed they are on disk when this returns, whatever `fsync` is.
        """
        if len(ticks):
            self._logs[partition].append(ticks)

    def read(self, partition: int, start: int, limit: int) -> npt.NDArray[np.void]:
        """1 to `limit` TICK rows from offset `start` on, none from the end on, in an array of one's own.

        Raises JournalError when `start` is below `first(partition)`, and for a damaged file.
        """
        try:
            return self._logs[partition].read(start, limit)
        except OSError as error:
            raise JournalError(f"the journal can't be read: {error.strerror}: {error.filename}") from None

    def skip_to(self, partition: int, offset: int) -> None:
        """Go on at `offset`, as the store has ticks up to there which the journal has lost.

        An empty journal begins there then. In another the rows in between are read as gap notes of the reason
        JOURNAL: a store that loses those ticks too is told. At or below the end it does nothing.
        """
        self._logs[partition].skip_to(offset)

    def trim(self, committed: Sequence[int], now_ms: int) -> int:
        """Remove segments that are too old or too much, given the committed offset of each partition; returns
        bytes freed. See `next_to_drop` for what is kept in any case. Raises JournalError."""
        limits = Limits(self._settings.keep_days, self._settings.keep_bytes)
        segments = [log.segments for log in self._logs]
        freed = 0
        while (partition := next_to_drop(segments, committed, limits, now_ms)) is not None:
            try:
                freed += self._logs[partition].drop_oldest()
            except OSError as error:
                raise JournalError(f"{error.filename}: can't be removed: {error.strerror}") from None
        return freed

    def sync(self) -> None:
        """All that was appended is on disk. Raises JournalError when it can't be, and then until the
        partition concerned has taken an append."""
        try:
            self._sync()
        except OSError as error:
            raise JournalError(f"the journal can't be written to disk: {error.strerror or error}") from None

    def close(self) -> None:
        """All is on disk (but with `fsync` no), and another process may open it; a second call does nothing.

        Raises JournalError when it couldn't be written to disk; it is closed then too.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        if self._syncer is not None:
            self._syncer.join()
        with self._descriptors:
            if self._settings.fsync != "no":
                self.sync()

    def _sync(self) -> None:
        failure: OSError | None = None
        for log in self._logs:
            try:
                log.sync()
            except OSError as error:
                failure = error
        if failure is not None:
            raise failure

    def _sync_now_and_then(self) -> None:
        while not self._closing.wait(SYNC_EVERY_S):
            with suppress(OSError):  # logged; the next append goes by it
                self._sync()


def _locked(path: Path) -> FileLock:
    lock = FileLock(path)
    if not lock.try_exclusive():
        holder = lock.read()
        lock.close()
        raise JournalBusyError(f"{path.parent}: process {holder} is writing it: stop that one first")
    lock.write(str(os.getpid()))
    return lock
