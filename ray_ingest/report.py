"""The totals of a run, as they are shown and written."""

from __future__ import annotations

from collections import Counter

import msgspec

from ray_ingest.actors.status import Base, Status
from ray_ingest.core.directory import REASONS


class Report(msgspec.Struct):
    """What a run did. `ticks_in` is the sum of applied, repeated, already committed, filtered and rejected;
    `ticks_without_candle` are applied ticks of phases that make no candles, by phase; `wall_s` is from the
    first tick's receipt to the last commit, latency from a tick's receipt to its commit."""

    ticks_in: int
    ticks_applied: int
    ticks_repeated: int
    ticks_already_committed: int
    ticks_filtered: int
    ticks_rejected: dict[str, int]
    ticks_without_candle: dict[str, int]
    candles_closed: int
    candles_amended: int
    instruments: int
    instruments_unclassified: int
    restarts: int
    wall_s: float
    ticks_per_s: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None


def report_of(status: Status) -> Report:
    """The totals of a run that ended with `status`."""
    rejected: Counter[str] = Counter()
    without_candle: Counter[str] = Counter()
    applied = already = received = 0
    for feed in status.feeds:
        rejected.update(feed.rejected)
        base = status.bases.get(feed.producer, Base(0, {}))
        fresh = max(0, feed.committed - base.committed)
        applied += fresh
        if feed.live:
            # What its journal still had is applied now, and its earlier processes' ticks are counted no more:
            # its ticks in are what became of them.
            received += fresh + feed.repeated + feed.filtered + sum(feed.rejected.values())
        else:
            received += feed.received
            already += min(base.committed, feed.sequence)
        for owner in status.owners:
            without_candle.update(owner.counts.get(feed.producer, {}))
        without_candle.subtract(base.counts)
    for reason in REASONS:
        number = without_candle.pop(reason, 0)
        rejected[reason] += number
        applied -= number
    notes = without_candle.pop("gap_notes", 0)  # they have offsets, but are no ticks
    applied -= notes
    received -= notes
    wall_s = max((feed.running_s for feed in status.feeds), default=0.0)
    latencies = [feed.latency_ms for feed in status.feeds if feed.latency_ms]
    return Report(
        ticks_in=received,
        ticks_applied=applied,
        ticks_repeated=sum(feed.repeated for feed in status.feeds),
        ticks_already_committed=already,
        ticks_filtered=sum(feed.filtered for feed in status.feeds),
        ticks_rejected=dict(+rejected),
        ticks_without_candle=dict(+without_candle),
        candles_closed=status.closed,
        candles_amended=status.amended,
        instruments=sum(owner.instruments for owner in status.owners),
        instruments_unclassified=sum(owner.unclassified for owner in status.owners),
        restarts=sum(status.restarts.values()),
        wall_s=round(wall_s, 3),
        ticks_per_s=round(applied / wall_s, 1) if wall_s > 0 else 0.0,
        latency_p50_ms=max((values[0] for values in latencies), default=None),
        latency_p99_ms=max((values[1] for values in latencies), default=None),
    )
