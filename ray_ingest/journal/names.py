"""A journal's instrument names: an append-only file of blocks, the place of a name being its id."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from ray_ingest.clock import epoch_ms
from ray_ingest.core.instruments import Instrument, InstrumentTable
from ray_ingest.errors import JournalError
from ray_ingest.journal.appender import Appender
from ray_ingest.journal.block import NAMES, header
from ray_ingest.journal.segment import damaged, opened
from ray_ingest.journal.walk import BadBlockError, blocks, whole_block_after

FILE = "instruments"

Name = tuple[str, str, str]


def read_names(path: Path) -> tuple[list[Name], int, int]:
    """The names (exchange, token, source) in the file, the bytes they take, and those of a torn tail.

    Raises JournalError, naming file and byte, for damage elsewhere.
    """
    names: list[Name] = []
    size = 0
    if not path.exists():
        return names, 0, 0
    with opened(path) as descriptor:
        end = os.fstat(descriptor).st_size
        try:
            for block in blocks(descriptor, 0, end):
                if block.kind != NAMES or block.first != len(names):
                    raise damaged(path, block.at)
                names += msgspec.msgpack.decode(block.payload, type=list[Name])
                size = block.at + block.size
        except BadBlockError as error:
            if whole_block_after(descriptor, error.at + 1, end) is not None:
                raise damaged(path, error.at) from None
        return names, size, end - size


class Names:
    """The writer's side: the table as it was left, and new names appended before any tick uses them."""

    def __init__(self, folder: Path, durable: bool) -> None:
        self.table = InstrumentTable()
        self._path = folder / FILE
        self._durable = durable
        self._ids: dict[Name, int] = {}
        names, size, _ = read_names(self._path)
        self._file = Appender(self._path, size)
        for name in names:
            self._intern(name)

    def learn(self, entries: Iterable[Instrument]) -> npt.NDArray[np.uint32]:
        """Their ids in `table`; new ones are in the file then, on disk if it is to be durable.

        Raises JournalError, and then nothing is new.
        """
        names = [(entry.exchange, entry.token, entry.source) for entry in entries]
        fresh = list(dict.fromkeys(name for name in names if name not in self._ids))
        if fresh:
            payload = msgspec.msgpack.encode(fresh)
            head = header(NAMES, len(self.table), len(payload), epoch_ms(), payload)
            self._file.append(head, payload, self._durable)
            for name in fresh:
                self._intern(name)
        return np.array([self._ids[name] for name in names], np.uint32)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _intern(self, name: Name) -> None:
        self._ids[name] = self.table.intern(*name)
        if self._ids[name] != len(self._ids) - 1:
            raise JournalError(f"{self._path}: the name {name[0]}|{name[1]} is in it twice")
