"""Journals as tick files, which `feed=replay` and everything that reads Parquet or CSV understands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ray_ingest.core.instruments import sanitise
from ray_ingest.feeds.tick_batches import TICK_SCHEMA
from ray_ingest.journal.producer import ProducerFile
from ray_ingest.journal.reader import JournalReader, tick_frame

BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Selection:
    """Which ticks: of an exchange, of a token, with event times (epoch ms) in [start_ms, end_ms)."""

    exchange: str | None = None
    token: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None


def tick_batches(
    reader: JournalReader, producers: list[ProducerFile], selection: Selection
) -> Iterator[pa.RecordBatch]:
    """The chosen ticks of these producers in the order they were written, in batches of `TICK_SCHEMA`; gap
    notes are left out. Raises JournalError for a damaged file."""
    names = {producer.producer: reader.names(producer.producer) for producer in producers}
    chosen_ids = {
        producer: np.array([_fits(selection, exchange, token) for exchange, token, _ in known], np.bool_)
        for producer, known in names.items()
    }
    for producer, ticks, written_ms in reader.ticks_as_written(producers, BATCH_ROWS):
        chosen = chosen_ids[producer.producer][ticks["instrument"]]
        if selection.start_ms is not None:
            chosen &= ticks["event_time_ms"] >= selection.start_ms
        if selection.end_ms is not None:
            chosen &= ticks["event_time_ms"] < selection.end_ms
        if chosen.any():
            frame = tick_frame(ticks[chosen], written_ms[chosen], names[producer.producer])
            yield from frame.to_arrow().cast(TICK_SCHEMA).combine_chunks().to_batches()


def _fits(selection: Selection, exchange: str, token: str) -> bool:
    if selection.exchange is not None and exchange != selection.exchange.upper():
        return False
    return selection.token is None or sanitise(token) == sanitise(selection.token)
