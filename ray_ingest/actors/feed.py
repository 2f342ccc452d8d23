"""A feed: one thread receives ticks from its source, another prepares, batches and sends them to owners."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from ray_ingest.actors.messages import FeedStats
from ray_ingest.actors.sender import RETRY_S, Sender, SenderSettings
from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.preparation import Preparation
from ray_ingest.core.tick_buffer import TickBuffer
from ray_ingest.errors import RayIngestError
from ray_ingest.feeds.source import TickSource, digest
from ray_ingest.model import TickColumns

log = logging.getLogger(__name__)

NAP_S = 0.0005
SEQUENCE = 1  # raised with every change that makes other sequences of the same ticks: offsets count in them


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What a feed is told; `make_source` builds the source inside the actor's own process."""

    name: str
    make_source: Callable[[], TickSource]
    speed: float | None
    partitions: int
    buffer_ticks: int
    block_ticks: int
    future_ms: int
    filters: FilterSettings
    sender: SenderSettings


class Feed:
    """See the module's text. It starts by itself, also when Ray restarts it, and is asked for `stats`."""

    def __init__(self, settings: FeedSettings, owners: list[Any]) -> None:
        self._settings = settings
        self._owners = owners
        self._stats = FeedStats(settings.name, "", os.getpid())
        self._buffer = TickBuffer(settings.buffer_ticks)
        self._patience_s = max(settings.sender.linger_s / 2, NAP_S)
        self._senders: list[Sender] = []
        self._preparation: Preparation | None = None
        self._source_over = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"feed[{self._settings.name}]"

    def stats(self) -> bytes:
        """`FeedStats` as of now."""
        stats, senders = self._stats, self._senders
        if self._preparation is not None:
            counts = self._preparation.counts
            stats.received, stats.repeated, stats.filtered = counts.received, counts.repeated, counts.filtered
            stats.rejected, stats.samples = dict(counts.rejected), dict(counts.samples)
        stats.sequence = sum(s.outbox.end for s in senders)
        stats.committed = sum(min(s.outbox.committed, s.outbox.end) for s in senders)
        stats.queued = len(self._buffer) + sum(len(s.outbox) for s in senders)
        stats.in_flight = sum(s.in_flight for s in senders)
        stats.calls = sum(s.calls for s in senders)
        stats.rewinds = sum(s.rewinds for s in senders)
        stats.trouble = next((s.trouble for s in senders if s.trouble), "")
        latencies = [value for s in senders for value in tuple(s.latency_ms)]
        stats.latency_ms = np.percentile(latencies, [50, 99]).tolist() if latencies else []
        return msgspec.msgpack.encode(stats)

    def stop(self) -> None:
        """Take no more ticks; what was taken is still sent and committed, then the state is "stopped"."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            self._pump()
        except RayIngestError as error:
            self._fail(str(error), error.exit_code)
        except Exception as error:
            log.exception("feed %s failed", self._settings.name)
            self._fail(f"feed {self._settings.name} failed: {type(error).__name__}: {error}", 6)
        finally:
            over = "stopped" if self._stopping.is_set() else "ended"
            self._stats.state = "failed" if self._stats.error else over

    def _fail(self, why: str, exit_code: int) -> None:
        self._stats.error, self._stats.exit_code = why, exit_code
        self._stopping.set()

    def _pump(self) -> None:
        settings = self._settings
        source = settings.make_source()
        # The sequence depends on the source and on all that drops ticks from it before they are counted.
        sieve = (SEQUENCE, settings.filters, settings.future_ms, settings.partitions, settings.block_ticks)
        producer = f"{settings.name}-{digest(source.identity, sieve)}"
        self._stats.producer = producer
        self._senders = [
            Sender(owner, producer, source.table, source.live, settings.sender) for owner in self._owners
        ]
        preparation = Preparation(source.table, settings.filters, settings.partitions, settings.future_ms)
        self._preparation = preparation
        for sender in self._senders:
            while not sender.resume():
                sender.check_fenced()
                if self._stopping.wait(RETRY_S):
                    return
        standings = [sender.standing for sender in self._senders]
        self._stats.already_committed = sum(standing.committed for standing in standings)
        for standing in standings:
            for reason, number in standing.counts.items():
                self._stats.counts[reason] = self._stats.counts.get(reason, 0) + number
        # A bounded source judges "future" by when it was first run, so that a resumed run drops the same.
        since_ms = 0 if source.live else max(standing.since_ms for standing in standings)
        receiver = threading.Thread(target=self._receive, args=(source,), name="receiver", daemon=True)
        self._stats.state = "running"
        began_s = time.monotonic()
        receiver.start()
        while not self._step(preparation, since_ms):
            self._stats.running_s = time.monotonic() - began_s

    def _step(self, preparation: Preparation, since_ms: int) -> bool:
        """One round of the sending thread; True when everything is sent and settled."""
        worked = False
        # Preparing far ahead of the owners would only fill memory: a few windows keep them busy.
        ahead = 4 * self._settings.sender.window_calls * self._settings.sender.batch_ticks
        over = self._source_over.is_set()
        if sum(sender.outbox.unsent for sender in self._senders) < ahead:
            taken = self._buffer.take()
            if taken is not None:
                block, received_s = taken
                now_ms = since_ms or time.time_ns() // 1_000_000
                shares = preparation.prepare(block, now_ms)
                for sender, ticks in zip(self._senders, shares, strict=True):
                    sender.append(ticks, received_s)
                worked = True
        idle = not len(self._buffer)
        # With one owner its next answer is all there is to wait for; of several, whichever comes first.
        patience_s = self._patience_s if len(self._senders) == 1 and not worked else 0.0
        drained = over and idle
        for sender in self._senders:
            sender.source_ended = drained and not self._stopping.is_set()
            worked |= sender.step(idle, patience_s)
            sender.check_fenced()
        if drained:
            if self._stopping.is_set():
                return all(not len(s.outbox) and not s.in_flight for s in self._senders)
            if all(sender.done for sender in self._senders):
                return True
        if not worked:
            time.sleep(NAP_S)
        return False

    def _receive(self, source: TickSource) -> None:
        try:
            for block in self._paced(source):
                received_s = time.monotonic()
                while not self._buffer.put(block, received_s):
                    if self._stopping.wait(NAP_S):
                        return
                if self._stopping.is_set():
                    return
        except RayIngestError as error:
            self._fail(str(error), error.exit_code)
        except Exception as error:
            log.exception("source of feed %s failed", self._settings.name)
            self._fail(f"feed {self._settings.name}: {type(error).__name__}: {error}", 6)
        finally:
            self._source_over.set()

    def _paced(self, source: TickSource) -> Iterator[TickColumns]:
        """The source's blocks, cut and held back so that each tick comes when it is due."""
        start_ms = time.time_ns() // 1_000_000
        blocks = source.blocks(start_ms)
        speed = 1.0 if source.live else self._settings.speed
        if speed is None:
            yield from blocks
            return
        began_s, first_ms = time.monotonic(), start_ms if source.live else None
        for block in blocks:
            due_ms = np.maximum.accumulate(getattr(block, source.paced_by))
            if first_ms is None:
                first_ms = int(due_ms[0])
            row = 0
            while row < len(block):
                reached_ms = first_ms + (time.monotonic() - began_s) * 1000 * speed
                upto = int(np.searchsorted(due_ms, reached_ms, side="right"))
                if upto > row:
                    yield block[row:upto]
                    row = upto
                else:
                    wait_s = (int(due_ms[row]) - reached_ms) / 1000 / speed
                    if self._stopping.wait(min(max(wait_s, NAP_S), 1.0)):
                        return
