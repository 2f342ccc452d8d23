"""What a feed runs: a source of raw columns with a name and an identity."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import numpy as np

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.feeds.sim import SimulatedExchange, SnapshotBlock
from ray_ingest.feeds.sim_settings import SimSettings
from ray_ingest.feeds.tick_files import content_identity, read_columns, tick_file_paths
from ray_ingest.model import TickColumns


class TickSource(Protocol):
    """Ticks in the order they came.

    `identity` names what is sent: a bounded source sends the same ticks in the same blocks whenever it has
    the same identity, so it can be resumed; a live one never ends and is new every time it starts.
    `paced_by` names the column that tells when a tick is due.
    """

    name: str
    identity: str
    live: bool
    paced_by: str
    table: InstrumentTable

    def blocks(self, start_ms: int) -> Iterator[TickColumns]:
        """Blocks of ticks from the first on; `start_ms` is the wall clock, for a source that goes by it.

        Raises InputError.
        """


def digest(*parts: object) -> str:
    """A short name for whatever has the same parts."""
    return blake2b(repr(parts).encode("utf-8"), digest_size=8).hexdigest()


class SimSource:
    """The simulated exchange as a feed."""

    name = "sim"
    paced_by = "receive_time_ms"

    def __init__(self, settings: SimSettings, forever: bool) -> None:
        self._exchange = SimulatedExchange(settings)
        self.live = forever
        # What was sent live can't be sent again, so whoever starts it anew is another producer.
        self.identity = digest("sim", uuid4().hex if forever else settings)
        self.table = InstrumentTable()
        for exchange, token in self._exchange.instruments:
            self.table.intern(exchange, token, self.name)

    def blocks(self, start_ms: int) -> Iterator[TickColumns]:
        """Snapshots as the simulated broker sends them."""
        sent = self._exchange.live_blocks(start_ms) if self.live else self._exchange.blocks()
        return map(_columns, sent)


class ReplaySource:
    """Recorded ticks in Parquet or CSV files. Raises InputError for what can't be read."""

    live = False
    paced_by = "event_time_ms"

    def __init__(self, path: Path, source: str, rows_per_block: int) -> None:
        self.name = "replay"
        self._paths = tick_file_paths(path)
        self._source = source
        self._rows_per_block = rows_per_block
        self.identity = digest("replay", content_identity(self._paths), source, rows_per_block)
        self.table = InstrumentTable()

    def blocks(self, start_ms: int) -> Iterator[TickColumns]:
        """The files' ticks in file order."""
        return read_columns(self._paths, self.table, self._source, self._rows_per_block)


def _columns(block: SnapshotBlock) -> TickColumns:
    return TickColumns(
        block.index.astype(np.uint32),
        block.event_time_ms,
        block.last_price,
        block.last_qty,
        block.day_volume,
        block.oi,
        block.receive_time_ms,
    )
