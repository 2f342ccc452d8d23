"""Recorded ticks as a source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.feeds.journal_ticks import RecordedTicks
from ray_ingest.feeds.source import digest
from ray_ingest.feeds.tick_files import content_identity, read_columns, tick_file_paths
from ray_ingest.model import TickColumns


class ReplaySource:
    """Recorded ticks: Parquet or CSV files, or journals. Raises InputError for what can't be read."""

    live = False
    paced_by = "event_time_ms"

    def __init__(self, path: Path, source: str, rows_per_block: int) -> None:
        self.name = "replay"
        self._journals = RecordedTicks.at(path)
        self._paths = [] if self._journals else tick_file_paths(path)
        self._source = source
        self._rows_per_block = rows_per_block
        content = self._journals.identity() if self._journals else content_identity(self._paths)
        self.identity = digest("replay", content, source, rows_per_block)
        self.table = InstrumentTable()

    def blocks(self, start_ms: int) -> Iterator[TickColumns]:
        """The files' ticks in file order, those of journals in the order they were written."""
        if self._journals:
            return self._journals.blocks(self.table, self._rows_per_block)
        return read_columns(self._paths, self.table, self._source, self._rows_per_block)
