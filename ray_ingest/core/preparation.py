"""From raw columns to the ticks a producer sends: normalise, drop repeats, filter, cut by partition."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ray_ingest.core.filters import FilterSettings, TickFilter
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.core.normalise import normalise
from ray_ingest.core.partition import partition_of
from ray_ingest.core.repeats import RepeatFilter
from ray_ingest.model import ALL_INSTRUMENTS, TickColumns


@dataclass(slots=True)
class PreparationCounts:
    """Ticks so far: in, repeats dropped, filtered out, and rejected by reason, the first of each in words."""

    received: int = 0
    repeated: int = 0
    filtered: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)


class Preparation:
    """The pure part of a feed; one serves one producer and is the same for live and replayed ticks."""

    def __init__(
        self, table: InstrumentTable, filters: FilterSettings, partitions: int, future_ms: int
    ) -> None:
        self.counts = PreparationCounts()
        self._table = table
        self._repeats = RepeatFilter()
        self._filter = TickFilter(filters, table)
        self._partitions = partitions
        self._future_ms = future_ms
        self._partition_of: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def prepare(self, columns: TickColumns, now_ms: int) -> list[npt.NDArray[np.void]]:
        """Each partition's share of a block, as TICK rows in arrival order; index is the partition."""
        counts = self.counts
        counts.received += len(columns)
        normalised = normalise(columns, self._table, now_ms, self._future_ms)
        if normalised.rejected:
            counts.rejected.update(normalised.rejected)
            counts.samples = normalised.samples | counts.samples
        ticks = normalised.ticks
        fresh = self._repeats.fresh(ticks)
        kept = int(np.count_nonzero(fresh))
        if kept < len(ticks):
            counts.repeated += len(ticks) - kept
            ticks = ticks[fresh]
        if not self._filter.idle:
            passing = self._filter.passing(ticks)
            counts.filtered += len(ticks) - int(np.count_nonzero(passing))
            ticks = ticks[passing]
        return self._shares(ticks)

    def remember(self, ticks: npt.NDArray[np.void]) -> None:
        """These TICK rows were sent before: a repeat of the last of an instrument is one."""
        self._repeats.fresh(ticks)

    def shares_of_notes(self, notes: npt.NDArray[np.void]) -> list[npt.NDArray[np.void]]:
        """Each partition's gap notes (TICK rows): those of its instruments, and those of all."""
        of_all = notes["instrument"] == ALL_INSTRUMENTS
        shares = self._shares(notes[~of_all])
        return [np.concatenate((share, notes[of_all])) for share in shares]

    def _shares(self, ticks: npt.NDArray[np.void]) -> list[npt.NDArray[np.void]]:
        if self._partitions == 1:
            return [ticks]
        owner = self._owners()[ticks["instrument"]]
        return [ticks[owner == partition] for partition in range(self._partitions)]

    def _owners(self) -> npt.NDArray[np.int64]:
        """The partition of each instrument id."""
        known = len(self._partition_of)
        if known < len(self._table):
            fresh = [partition_of(e.exchange, e.token, self._partitions) for e in self._table.entries[known:]]
            self._partition_of = np.append(self._partition_of, np.array(fresh, np.int64))
        return self._partition_of
