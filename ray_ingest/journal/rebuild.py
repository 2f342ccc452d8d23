"""The store's candles out of journals: each owner in this process, fed what its producers once sent.

Producers and offsets are the journals' own, so the store takes each tick once however often this is done, and
a feed that starts later goes on behind them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from ray_ingest.actors.messages import Batch, Reply, Standing
from ray_ingest.actors.ohlc import OhlcPartition
from ray_ingest.actors.ohlc_settings import OhlcSettings
from ray_ingest.errors import JournalError, StoreError
from ray_ingest.journal.names import Name
from ray_ingest.journal.producer import ProducerFile
from ray_ingest.journal.reader import JournalReader
from ray_ingest.model import TICK

BATCH_TICKS = 16_384
SETTLE_S = 60.0

Progress = Callable[[int, int], None]
"""Told now and then: rows done, and rows in all."""


@dataclass(slots=True)
class _Line:
    """One producer's sequence on its way to one owner; `rows` are gathered from offset `start` on."""

    owner: OhlcPartition
    producer: str
    names: list[Name]
    committed: int
    start: int = 0
    length: int = 0
    rows: bytearray = field(default_factory=bytearray)
    newest_event_ms: int = 0
    names_sent: bool = False

    def send(self, ended: bool = False) -> Reply:
        """Push what is gathered. Raises StoreError when the store doesn't take it."""
        rows, self.rows = bytes(self.rows), bytearray()
        if rows:
            newest_ms = int(np.frombuffer(rows, TICK)["event_time_ms"].max())
            self.newest_event_ms = max(self.newest_event_ms, newest_ms)
        head = Batch(
            self.producer,
            self.start,
            0,
            [] if self.names_sent else self.names,
            self.newest_event_ms,
            live=False,
            idle=ended,
            ended=ended,
            backlog=not ended,
            oldest=self.start,  # what isn't in the journal can't be had
        )
        reply = msgspec.msgpack.decode(self.owner.push(msgspec.msgpack.encode(head), rows), type=Reply)
        if reply.trouble or reply.rewind:
            trouble = reply.trouble or "it lost what it had committed"
            raise StoreError(f"the store takes nothing more ({trouble}): the same command goes on from here")
        self.names_sent = True
        self.start += self.length
        self.length = 0
        return reply


def partitions_of(reader: JournalReader) -> int:
    """Into how many partitions the journals of the folder are cut.

    Raises JournalError when there are none, when they differ in it, and when somebody is writing one.
    """
    producers = reader.producers()
    if not producers:
        raise JournalError(f"{reader.folder}: there is no journal in it")
    for producer in producers:
        writer = reader.writer(producer.producer)
        if writer:
            raise JournalError(
                f"process {writer} is writing {producer.producer}, and sends again what its store lost by "
                "itself: stop it first"
            )
    partitions = {producer.partitions for producer in producers}
    if len(partitions) > 1:
        listed = ", ".join(map(str, sorted(partitions)))
        raise JournalError(
            f"{reader.folder}: journals in {listed} partitions: rebuild from a folder for each"
        )
    return partitions.pop()


def rebuild(reader: JournalReader, settings: list[OhlcSettings], progress: Progress) -> tuple[int, int]:
    """Bring the store to where the journals are; `settings` are the owners', one a partition.

    Returns how many rows were sent, and how many it had already. Raises StoreError when the store fails on
    the way (what it has taken stays), JournalError for a damaged journal.
    """
    owners = [OhlcPartition(one) for one in settings]
    try:
        producers = reader.producers()
        lines = {
            (producer.producer, partition): _line(owner, producer, reader)
            for producer in producers
            for partition, owner in enumerate(owners)
        }
        total = present = 0
        for info in reader.journals():
            for partition, (first, end) in enumerate(zip(info.first, info.end, strict=True)):
                begin = max(first, min(lines[info.producer, partition].committed, end))
                present, total = present + begin - first, total + end - begin
        done = 0
        for producer, partition, block in reader.blocks_as_written(
            producers, lambda producer, partition: lines[producer, partition].committed
        ):
            line = lines[producer.producer, partition]
            # A hole of a few bytes may stand for any number of rows.
            for start in range(max(block.first, line.committed), block.end, BATCH_TICKS):
                end = min(start + BATCH_TICKS, block.end)
                if line.length and (start != line.start + line.length or line.length >= BATCH_TICKS):
                    line.send()
                    progress(done, total)
                if not line.length:
                    line.start = start
                line.rows += block.rows_between(start, end)
                line.length += end - start
                done += end - start
        _finish(list(lines.values()))
        progress(done, total)
        return done, present
    finally:
        for owner in owners:
            owner.close()


def _line(owner: OhlcPartition, producer: ProducerFile, reader: JournalReader) -> _Line:
    standing = msgspec.msgpack.decode(owner.standing(producer.producer), type=Standing)
    if standing.trouble:
        raise StoreError(standing.trouble)
    names = reader.names(producer.producer)
    return _Line(owner, producer.producer, names, standing.committed, standing.committed)


def _finish(lines: list[_Line]) -> None:
    """Everything gathered is sent, every minute is closed, all is committed."""
    for line in lines:
        if line.length:
            line.send()
    for line in lines:
        line.send(ended=True)
    deadline_s = time.monotonic() + SETTLE_S
    for line in lines:
        while not line.send(ended=True).settled:
            if time.monotonic() > deadline_s:
                raise StoreError(f"the store commits nothing for {SETTLE_S:g} s: the same command goes on")
