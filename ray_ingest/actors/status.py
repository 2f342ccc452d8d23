"""How a run is, as its supervisor tells it, and one run's story out of several supervisors' statuses."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

import msgspec

from ray_ingest.actors.messages import FeedStats, OhlcStats


class Base(msgspec.Struct):
    """Where a producer stood when this run began: ticks committed, and the owners' counts by reason."""

    committed: int
    counts: dict[str, int]


class Status(msgspec.Struct):
    """How everything is: the actors' latest figures, how often each was restarted, where each producer began,
    since when (epoch ms) an actor hasn't answered, the metrics port (0: none), how many candles the store
    counted as closed and amended before the run, and the incarnation and process of who tells it. Of several
    feeds of the same instruments: the names of those whose ticks count, how often another took over since the
    supervisor began, and why it last did."""

    owners: list[OhlcStats]
    feeds: list[FeedStats]
    restarts: dict[str, int]
    bases: dict[str, Base]
    silent_since_ms: dict[str, int]
    metrics_port: int
    closed_before: int = 0
    amended_before: int = 0
    incarnation: str = ""
    pid: int = 0
    active: list[str] = []
    takeovers: int = 0
    takeover_why: str = ""

    @property
    def closed(self) -> int:
        """Candles closed in this run."""
        return sum(owner.closed for owner in self.owners) - self.closed_before

    @property
    def amended(self) -> int:
        """Closed candles amended in this run."""
        return sum(owner.amended for owner in self.owners) - self.amended_before

    @property
    def finished(self) -> bool:
        """Every feed has sent what it had, and it is committed."""
        return bool(self.feeds) and all(f.state in ("ended", "stopped", "failed") for f in self.feeds)

    @property
    def over(self) -> bool:
        """The feeds are known, and none does anything more."""
        return bool(self.feeds) and all(feed.over for feed in self.feeds)


def as_ended(before: FeedStats, now: FeedStats) -> FeedStats:
    """The figures of a feed while it is being stopped. One that had ended and whose process died since reads
    its source again and is stopped on the way: what it told when it had ended is what the run did."""
    if before.state != "ended" or now.state in ("ended", "failed"):
        return now
    return msgspec.structs.replace(before, pid=now.pid, over=now.over, queued=now.queued)


class Story:
    """Makes one run out of the statuses of a supervisor and of those that came after it died.

    A new supervisor counts from when it began; the run began with the first. `who` is a supervisor's name.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._first: Status | None = None
        self._last: Status | None = None
        self._bases: dict[str, Base] = {}
        self._pids: dict[str, int] = {}
        self._restarts: Counter[str] = Counter()

    def told(self, status: Status) -> Status:
        """The same status with what the whole run counts: restarts of all, those of supervisors included, and
        where the run began. What a new supervisor hasn't seen yet is shown as it was before."""
        last = self._last
        if last is None:
            self._restarts.update(status.restarts)
        else:
            if last.incarnation != status.incarnation:
                self._restarts[self._who] += 1
            owners, feeds = _all_of(last.owners, status.owners), _all_of(last.feeds, status.feeds)
            status = msgspec.structs.replace(status, owners=owners, feeds=feeds)
        self._last = status
        if self._first is None and status.feeds:
            self._first = status
        first = self._first or status
        pids = {owner.name: owner.pid for owner in status.owners}
        pids |= {f"feed[{feed.name}]": feed.pid for feed in status.feeds}
        self._restarts.update(name for name, pid in pids.items() if self._pids.get(name, pid) != pid)
        self._pids |= pids
        for producer, base in status.bases.items():
            self._bases.setdefault(producer, base)
        return msgspec.structs.replace(
            status,
            restarts=dict(self._restarts),
            bases=dict(self._bases),
            closed_before=first.closed_before,
            amended_before=first.amended_before,
        )


Figures = TypeVar("Figures", OhlcStats, FeedStats)


def _all_of(before: list[Figures], now: list[Figures]) -> list[Figures]:
    known = {figures.name for figures in now}
    return [figures for figures in before if figures.name not in known] + now
