"""The actor of a feed: it starts by itself, also when Ray restarts it, and tells how it is."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import msgspec
import numpy as np

from ray_ingest.actors.duty import Duty
from ray_ingest.actors.live import decoded, digest_of
from ray_ingest.actors.messages import Buckets, ConnectionStats, FeedStats
from ray_ingest.actors.pump import FeedSettings, Pump
from ray_ingest.actors.sender import StoreWentBackError
from ray_ingest.core.failover import CountedUntil
from ray_ingest.core.histogram import Histogram
from ray_ingest.errors import ProcessSpentError, RayIngestError
from ray_ingest.feeds import brokers
from ray_ingest.logs import set_up_actor

log = logging.getLogger(__name__)


class Feed:
    """Runs a `Pump` on a thread of its own, and another one when a source has to be read again."""

    def __init__(self, settings: FeedSettings, owners: list[Any]) -> None:
        broker = settings.name if settings.name in brokers.names() else None
        set_up_actor(settings.log, f"feed[{settings.name}]", broker=broker)
        self._settings = settings
        self._owners = owners
        self._stats = FeedStats(settings.name, "", os.getpid())
        self._duty = Duty(counts=not settings.shared)
        self._subscriptions: bytes | None = None
        self._pump: Pump | None = None
        self._rewound = 0
        self._telling = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"feed[{self._settings.name}]"

    def stats(self) -> bytes:
        """`FeedStats` as of now."""
        with self._telling:
            stats, pump = self._stats, self._pump
            if pump is not None:
                _look(stats, pump)
                stats.rewinds += self._rewound
            stats.active = self._duty.counts
            return msgspec.msgpack.encode(stats)

    def role(self, counts: bool, others: CountedUntil) -> CountedUntil:
        """Whether its ticks count from now on, `others` having counted so far; a feed that isn't shared
        always counts. Returns how far its own have: exact when it counts no more, unless its journal keeps it
        waiting."""
        return self._duty.tell(counts, others) if self._settings.shared else CountedUntil()

    def note_gap(self, from_ms: int, to_ms: int) -> None:
        """Note in its sequence, once, that nobody who counted was well between these epoch ms."""
        self._duty.tell_gap(from_ms, to_ms)

    def set_subscriptions(self, subscriptions: bytes) -> None:
        """What it listens to from now on, as `live.encoded` writes it; a source without connections has what
        it has."""
        self._subscriptions = subscriptions
        with self._telling:
            self._subscribe()

    def subscriptions(self) -> bytes | None:
        """What `set_subscriptions` was told last; None if nothing."""
        return self._subscriptions

    def _subscribe(self) -> None:
        if self._pump is None or self._subscriptions is None:
            return
        if self._pump.connected is not None:
            try:
                self._pump.connected.set_subscriptions(decoded(self._subscriptions))
            except RayIngestError as error:
                log.error("feed %s keeps what it subscribes: %s", self._settings.name, error)
        self._stats.subscriptions = digest_of(self._subscriptions)

    def stop(self) -> None:
        """Take no more ticks; what was taken is still sent and committed, then the state is "stopped"."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            while self._pump_once():
                self._rewound += 1
        except ProcessSpentError as error:
            if not self._stopping.is_set():
                log.warning("feed %s goes on in a new process: %s", self._settings.name, error)
                os._exit(1)
        except RayIngestError as error:
            if self._settings.shared:  # the others go on, and the run doesn't end with it
                log.error("feed %s has ended: %s", self._settings.name, error)
            self._fail(str(error), error.exit_code)
        except Exception as error:
            log.exception("feed %s failed", self._settings.name)
            self._fail(f"feed {self._settings.name} failed: {type(error).__name__}: {error}", 6)
        finally:
            ended = self._pump is not None and self._pump.complete
            with self._telling:
                self._stats.state = "failed" if self._stats.error else "ended" if ended else "stopped"
                self._stats.over = True

    def _pump_once(self) -> bool:
        """True when the source has to be read again from its first tick, being its own journal."""
        before = self._pump
        owes_all = before is not None and (before.complete or before.owes_all)
        pump = Pump(self._settings, self._owners, self._stopping, owes_all, self._duty)
        with self._telling:
            self._pump = pump
            self._subscribe()
        try:
            pump.run()
        except StoreWentBackError as error:
            if pump.live:
                raise
            log.warning("feed %s starts again from its first tick: %s", self._settings.name, error)
            return True
        return False

    def _fail(self, why: str, exit_code: int) -> None:
        self._stats.error, self._stats.exit_code = why, exit_code
        self._stopping.set()


def _look(stats: FeedStats, pump: Pump) -> None:
    """Fill in a pump's figures."""
    done = pump.done  # looked at first: the figures of a feed that has ended are all of them
    counts, senders = pump.preparation.counts, pump.senders
    stats.producer, stats.live, stats.running_s = pump.producer, pump.live, pump.running_s
    stats.received, stats.repeated, stats.filtered = counts.received, counts.repeated, counts.filtered
    stats.rejected, stats.samples = dict(counts.rejected), dict(counts.samples)
    stats.dropped = pump.receiver.dropped
    stats.sequence = sum(s.outbox.end for s in senders)
    stats.committed = sum(min(s.outbox.committed, s.outbox.end) for s in senders)
    stats.queued = len(pump.receiver.buffer) + sum(len(s.outbox) for s in senders)
    stats.in_flight = sum(s.in_flight for s in senders)
    stats.calls = sum(s.calls for s in senders)
    stats.rewinds = sum(s.rewinds for s in senders)
    stats.to_recover = sum(s.to_recover for s in senders)
    stats.batches = _added([s.batches for s in senders])
    stats.latency = _added([s.latency_s for s in senders])
    if (journal := pump.journal_size) is not None:
        stats.journal_bytes, stats.journal_segments = journal.bytes, journal.segments
        stats.journal_disk_bytes, stats.journal_disk_free_bytes = journal.disk_bytes, journal.disk_free_bytes
    stats.waits_for = pump.trouble
    stats.trouble = next((s.trouble for s in senders if s.trouble), "")
    stats.counted, stats.heard_before_ms = pump.duty.counted, pump.duty.heard_before_ms
    if (sharing := pump.sharing) is not None:
        stats.well_since_ms = 0 if pump.receiver.over.is_set() else sharing.well_since_ms
        stats.last_tick_ms, stats.standby = sharing.last_tick_ms, sharing.standby.held_back
    if (source := pump.connected) is not None:
        stats.connections = [
            msgspec.convert(connection, ConnectionStats, from_attributes=True)
            for connection in source.connections()
        ]
        stats.dropped_frames = dict(source.dropped())
    latencies = np.concatenate([np.zeros(0), *(s.latency_ms.values for s in senders)])
    stats.latency_ms = np.percentile(latencies, [50, 99]).tolist() if len(latencies) else []
    if stats.state == "starting" and pump.standings:
        stats.already_committed = sum(standing.committed for standing in pump.standings)
        for standing in pump.standings:
            for reason, number in standing.counts.items():
                stats.counts[reason] = stats.counts.get(reason, 0) + number
        stats.state = "running"
    if stats.state in ("running", "ended") and not stats.over:
        stats.state = "ended" if done else "running"


def _added(histograms: list[Histogram]) -> Buckets:
    counts = [list(histogram.counts) for histogram in histograms]
    return Buckets([sum(column) for column in zip(*counts, strict=True)], sum(h.sum for h in histograms))
