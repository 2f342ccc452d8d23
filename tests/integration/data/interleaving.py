"""Several producers at one OHLC partition, their batches interleaved at will: the actor's plain class, driven
in this process on a real server, so that a seed decides who speaks when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from ray_ingest.actors.messages import Batch, Reply
from ray_ingest.actors.ohlc import OhlcPartition
from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.core.preparation import Preparation
from ray_ingest.feeds.tick_files import read_columns
from ray_ingest.model import TickColumns
from tests.integration.data.vectors import Vector

LARGEST_BATCH = 4
AHEAD_MS = 2**42  # no tick is from the future


@dataclass
class Producer:
    """The ticks of one feed, its own repeats dropped, and how far they are sent and committed."""

    name: str
    table: InstrumentTable
    ticks: npt.NDArray[np.void]
    sent: int = 0
    ended: bool = False
    settled: bool = False

    @classmethod
    def of(cls, name: str, vector: Vector, share: pl.Series) -> Producer:
        """One that got the share (bool, one a tick) of a vector's ticks."""
        table = InstrumentTable()
        (columns,) = read_columns([vector.path], table, "replay")
        rows: Any = share.to_numpy()
        own = TickColumns(*(getattr(columns, column)[rows] for column in TickColumns.__slots__))
        (ticks,) = Preparation(table, FilterSettings(), 1, AHEAD_MS).prepare(own, 0)
        return cls(name, table, ticks)

    def push(self, owner: OhlcPartition, count: int, idle: bool) -> None:
        """Send the next `count` ticks; with the last one the feed has ended."""
        ticks = self.ticks[self.sent : self.sent + count]
        start, self.sent = self.sent, self.sent + len(ticks)
        self.ended = self.sent == len(self.ticks)
        names = [(entry.exchange, entry.token, entry.source) for entry in self.table.entries]
        newest_ms = int(self.ticks["event_time_ms"][: self.sent].max(initial=0))
        head = Batch(self.name, start, 0, names, newest_ms, live=False, idle=idle, ended=self.ended)
        reply = msgspec.msgpack.decode(owner.push(msgspec.msgpack.encode(head), ticks.tobytes()), type=Reply)
        assert not reply.rewind, reply
        self.settled = self.ended and reply.settled and reply.committed == self.sent


def interleave(owner: OhlcPartition, producers: list[Producer], rng: random.Random) -> None:
    """Send all ticks in small batches of random producers, commits beginning at random, until all is
    committed and every minute closed."""
    while speaking := [producer for producer in producers if not producer.ended]:
        rng.choice(speaking).push(owner, rng.randint(1, LARGEST_BATCH), idle=rng.random() < 0.5)
    for _ in range(100):
        for producer in producers:
            producer.push(owner, 0, idle=True)
        if all(producer.settled for producer in producers):
            return
    raise AssertionError(f"never settled: {producers}")
