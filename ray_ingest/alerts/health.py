"""From a run's `Status` to what the rules of alerts look at."""

from __future__ import annotations

from ray_ingest.actors.messages import FeedStats
from ray_ingest.actors.status import Base, Status
from ray_ingest.core.alert_conditions import FeedHealth, Health, Totals
from ray_ingest.core.connection import ConnectionStatus, State


def health_of(status: Status, now_ms: int) -> Health:
    """The health at `now_ms` (epoch ms)."""
    troubles = [owner for owner in status.owners if owner.trouble_since_ms]
    first = min(troubles, key=lambda owner: owner.trouble_since_ms, default=None)
    return Health(
        now_ms=now_ms,
        feeds=tuple(_feed(feed) for feed in status.feeds),
        store_trouble=first.last_trouble if first else "",
        store_since_ms=first.trouble_since_ms if first else 0,
        silent_since_ms=status.silent_since_ms,
        restarts=status.restarts,
        gaps=(gaps := _gaps(status)),
        totals=_totals(status, sum(gaps.values())),
    )


def _feed(feed: FeedStats) -> FeedHealth:
    connections = tuple(
        ConnectionStatus(connection.name, State(connection.state), connection.since_ms, connection.why)
        for connection in feed.connections
    )
    return FeedHealth(feed.name, feed.state, feed.error, feed.waits_for, connections)


def _gaps(status: Status) -> dict[str, int]:
    gaps = {}
    for feed in status.feeds:
        base = status.bases.get(feed.producer, Base(0, {}))
        seen = sum(owner.counts.get(feed.producer, {}).get("gap_notes", 0) for owner in status.owners)
        gaps[feed.name] = max(0, seen - base.counts.get("gap_notes", 0))
    return gaps


def _totals(status: Status, gaps: int) -> Totals:
    bases = {feed.producer: status.bases.get(feed.producer, Base(0, {})) for feed in status.feeds}
    return Totals(
        ticks=sum(max(0, feed.committed - bases[feed.producer].committed) for feed in status.feeds),
        candles=status.closed if status.owners else 0,
        gaps=gaps,
        dropped=sum(feed.dropped + sum(feed.dropped_frames.values()) for feed in status.feeds),
        lag_ms=max((feed.latency_ms[1] for feed in status.feeds if len(feed.latency_ms) > 1), default=0.0),
    )
