"""The actor of a feed: it starts by itself, also when Ray restarts it, and tells how it is."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import msgspec
import numpy as np

from ray_ingest.actors.messages import FeedStats
from ray_ingest.actors.pump import FeedSettings, Pump
from ray_ingest.actors.sender import StoreWentBackError
from ray_ingest.errors import RayIngestError

log = logging.getLogger(__name__)


class Feed:
    """Runs a `Pump` on a thread of its own, and another one when a source has to be read again."""

    def __init__(self, settings: FeedSettings, owners: list[Any]) -> None:
        self._settings = settings
        self._owners = owners
        self._stats = FeedStats(settings.name, "", os.getpid())
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
            return msgspec.msgpack.encode(stats)

    def stop(self) -> None:
        """Take no more ticks; what was taken is still sent and committed, then the state is "stopped"."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            while self._pump_once():
                self._rewound += 1
        except RayIngestError as error:
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
        pump = Pump(self._settings, self._owners, self._stopping, owes_all)
        self._pump = pump
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
    stats.waits_for = pump.trouble
    stats.trouble = next((s.trouble for s in senders if s.trouble), "")
    latencies = [value for s in senders for value in tuple(s.latency_ms)]
    stats.latency_ms = np.percentile(latencies, [50, 99]).tolist() if latencies else []
    if stats.state == "starting" and pump.standings:
        stats.already_committed = sum(standing.committed for standing in pump.standings)
        for standing in pump.standings:
            for reason, number in standing.counts.items():
                stats.counts[reason] = stats.counts.get(reason, 0) + number
        stats.state = "running"
    if stats.state in ("running", "ended") and not stats.over:
        stats.state = "ended" if pump.done else "running"
