"""What an OHLC actor counts of its flushes, updated once a flush."""

from __future__ import annotations

import numpy as np

from ray_ingest.actors.messages import Buckets, OhlcStats
from ray_ingest.core.calendar import Calendar
from ray_ingest.core.directory import Directory
from ray_ingest.core.flush_plan import FlushPlan
from ray_ingest.core.histogram import SECONDS, Histogram
from ray_ingest.model import Phase

LOOK_MS = 1_000


class FlushFigures:
    """Counts into an actor's `stats`."""

    def __init__(self, stats: OhlcStats) -> None:
        self._stats = stats
        self._flush = Histogram(SECONDS)

    def applied(self, plan: FlushPlan, closed: int, amended: int, plan_s: float, commit_s: float) -> None:
        """This plan is committed and has closed and amended so many candles."""
        stats = self._stats
        stats.ticks_committed += plan.ticks
        stats.rows += len(plan.rows)
        stats.flushes += 1
        stats.plan_s += plan_s
        stats.flush_s += commit_s
        stats.closed += closed
        stats.amended += amended
        stats.closings += closed
        stats.amendings += amended
        self._flush.add(plan_s + commit_s)
        for counter, number in plan.counters.items():
            reason = counter.rpartition(":")[2]
            stats.noted[reason] = stats.noted.get(reason, 0) + number

    def bring_up_to_date(self) -> None:
        """`stats.flush` is as of now."""
        self._stats.flush = Buckets(list(self._flush.counts), self._flush.sum)


class SessionHours:
    """Whether any instrument of a directory is in a regular phase, looked up anew once a second."""

    def __init__(self, directory: Directory, calendar: Calendar) -> None:
        self._directory = directory
        self._calendar = calendar
        self._is_open = False
        self._looked_ms = 0

    def is_open(self, now_ms: int) -> bool:
        """As of this moment (epoch ms), or up to a second earlier."""
        if now_ms - self._looked_ms >= LOOK_MS:
            self._looked_ms = now_ms
            classes = np.unique(self._directory.class_index)
            phase, _, _ = self._calendar.locate(classes, np.full(len(classes), now_ms))
            self._is_open = bool(np.any(phase == Phase.REGULAR))
        return self._is_open
