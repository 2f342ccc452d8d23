"""Ticks that journals recorded, as raw columns: `feed=replay` with a journal's folder as its path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.errors import InputError, JournalError
from ray_ingest.feeds.tick_files import content_identity
from ray_ingest.journal.names import FILE as NAMES_FILE
from ray_ingest.journal.producer import FILE as PRODUCER_FILE
from ray_ingest.journal.producer import ProducerFile, read_producer
from ray_ingest.journal.reader import JournalReader
from ray_ingest.model import NULL, TickColumns

REPLAYS = "replay"


@dataclass(frozen=True, slots=True)
class RecordedTicks:
    """The journals at a path that nobody is writing."""

    reader: JournalReader
    producers: list[ProducerFile]

    @classmethod
    def at(cls, path: Path) -> RecordedTicks | None:
        """The journals in a folder of journals, or the one whose own folder it is; None where there is none.

        In a folder of journals those of replays are passed over: they repeat what others hold. Raises
        InputError for a damaged journal, and for one that is being written.
        """
        try:
            if (path / PRODUCER_FILE).is_file():
                reader, producers = JournalReader(path.absolute().parent), [read_producer(path.absolute())]
            else:
                reader = JournalReader(path)
                producers = [producer for producer in reader.producers() if producer.name != REPLAYS]
            for producer in producers:
                writer = reader.writer(producer.producer)
                if writer:
                    raise InputError(
                        f"{path}: process {writer} is writing {producer.producer}: replay a journal that is "
                        "at rest, or export it first (python -m ray_ingest.journal export)"
                    )
        except (JournalError, OSError) as error:
            raise InputError(f"{path}: can't be read: {error}") from None
        return cls(reader, producers) if producers else None

    def identity(self) -> str:
        """What the journals hold, as 32 hex digits. Raises InputError when a file can't be read."""
        files: list[Path] = []
        for producer in self.producers:
            files.append(self.reader.folder / producer.producer / NAMES_FILE)
            for partition in range(producer.partitions):
                files += self.reader.paths(producer.producer, partition)
        return content_identity([file for file in files if file.exists()])

    def blocks(self, table: InstrumentTable, rows_per_block: int) -> Iterator[TickColumns]:
        """Their ticks in the order they were written, which is when they count as received, in blocks of at
        most `rows_per_block` rows; names are interned in `table`. Raises InputError for a damaged file."""
        ids: dict[str, npt.NDArray[np.uint32]] = {}
        try:
            for producer, ticks, written_ms in self.reader.ticks_as_written(self.producers, rows_per_block):
                if producer.producer not in ids:
                    names = self.reader.names(producer.producer)
                    ids[producer.producer] = np.array([table.intern(*name) for name in names], np.uint32)
                yield TickColumns(
                    instrument=ids[producer.producer][ticks["instrument"]],
                    event_time_ms=ticks["event_time_ms"].copy(),
                    last_price=ticks["last_price"].copy(),
                    last_qty=_nullable(ticks["last_qty"]),
                    day_volume=_nullable(ticks["day_volume"]),
                    oi=_nullable(ticks["oi"]),
                    receive_time_ms=written_ms,
                )
        except (JournalError, OSError) as error:
            raise InputError(str(error)) from None


def _nullable(column: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.where(column == -1, NULL, column)
