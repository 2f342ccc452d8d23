"""Ticks for a journal, each one recognisable by its number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ray_ingest.core.instruments import Instrument
from ray_ingest.journal import Journal, JournalSettings
from ray_ingest.model import TICK

DAY_MS = 86_400_000
MORNING_MS = 1_763_956_800_000 - 86_400_000  # 2025-11-23 09:30 IST
NAMES = [Instrument("NSE_FO", "8765", "sim"), Instrument("NSE_EQ", "Some Share", "sim")]


def ticks(numbers: Sequence[int], day: int = 0) -> npt.NDArray[np.void]:
    """One TICK row a number, which is its `day_volume`; `day` days after the first."""
    rows = np.zeros(len(numbers), TICK)
    rows["day_volume"] = numbers
    rows["event_time_ms"] = MORNING_MS + day * DAY_MS + np.array(numbers, np.int64)
    rows["last_price"] = 100 + np.array(numbers, np.float64) % 7
    rows["last_qty"], rows["oi"] = -1, -1
    rows["instrument"] = np.array(numbers, np.int64) % len(NAMES)
    return rows


def open_journal(folder: Path, **settings: Any) -> Journal:
    """A live feed's journal in two partitions, its names learnt; without fsync, which is tested apart."""
    journal = Journal.open(JournalSettings(folder, **{"fsync": "no", **settings}), "sim", 2, 1)
    journal.learn(NAMES)
    return journal


def everything(journal: Journal, partition: int, limit: int = 1_000) -> npt.NDArray[np.void]:
    """All rows from the first on, read in chunks."""
    parts = [np.zeros(0, TICK)]
    offset = journal.first(partition)
    while offset < journal.end(partition):
        parts.append(journal.read(partition, offset, limit))
        offset += len(parts[-1])
    return np.concatenate(parts)
