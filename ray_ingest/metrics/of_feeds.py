"""Metrics of feed actors and their connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ray_ingest.actors.messages import ConnectionStats, FeedStats
from ray_ingest.core.connection import State
from ray_ingest.core.histogram import BATCH_TICKS, SECONDS
from ray_ingest.metrics.metric import Kind, Metric, Sample, Seen, feed_actor, feeds, feeds_by, one_of

STATES = ("starting", "running", "ended", "stopped", "failed")


def _connections(name: str, kind: Kind, text: str, value: Callable[[ConnectionStats], float]) -> Metric:
    def samples(seen: Seen) -> Iterable[Sample]:
        return [
            ((feed_actor(feed), connection.name), value(connection))
            for feed in seen.status.feeds
            for connection in feed.connections
        ]

    return Metric(name, kind, text, ("actor", "connection"), samples)


def _states(seen: Seen) -> Iterable[Sample]:
    for feed in seen.status.feeds:
        for connection in feed.connections:
            for state, value in one_of(connection.state, (known.value for known in State)).items():
                yield (feed_actor(feed), connection.name, state), value


def _has_journal(feed: FeedStats) -> bool:
    return feed.journal_disk_bytes > 0


COUNTERS = [
    feeds("ticks_received", Kind.COUNTER, "Ticks a feed received.", lambda f: f.received),
    feeds("ticks_repeated", Kind.COUNTER, "Ticks that repeated the one before.", lambda f: f.repeated),
    feeds("ticks_filtered", Kind.COUNTER, "Ticks the configured filter dropped.", lambda f: f.filtered),
    feeds(
        "ticks_dropped",
        Kind.COUNTER,
        "Ticks that found a live feed's buffer full; their candles are marked as gaps.",
        lambda f: f.dropped,
    ),
    feeds(
        "ticks_standby",
        Kind.COUNTER,
        "Ticks that came while another feed's counted, and were never sent.",
        lambda f: f.standby,
    ),
    feeds_by(
        "frames_dropped",
        Kind.COUNTER,
        "Frames and parts of them that were no tick, by reason.",
        "reason",
        lambda f: f.dropped_frames,
    ),
    feeds("feed_calls", Kind.COUNTER, "Calls to OHLC actors, heartbeats included.", lambda f: f.calls),
    _connections("reconnects", Kind.COUNTER, "Times a connection was made anew.", lambda c: c.reconnects),
]

DISTRIBUTIONS = [
    feeds("batch_ticks", Kind.HISTOGRAM, "Ticks a call carried.", lambda f: f.batches, BATCH_TICKS),
    feeds(
        "tick_to_store_seconds",
        Kind.HISTOGRAM,
        "From the receipt of a tick to the feed's knowing that it is committed.",
        lambda f: f.latency,
        SECONDS,
    ),
]

GAUGES = [
    feeds("calls_in_flight", Kind.GAUGE, "Calls not answered yet.", lambda f: f.in_flight),
    feeds("sequence_offset", Kind.GAUGE, "Ticks that have been numbered.", lambda f: f.sequence),
    feeds("committed_offset", Kind.GAUGE, "Ticks that are safe in the store.", lambda f: f.committed),
    feeds(
        "lag_ticks",
        Kind.GAUGE,
        "Ticks that have been numbered and are not committed.",
        lambda f: max(0, f.sequence - f.committed),
    ),
    feeds(
        "recovering_ticks",
        Kind.GAUGE,
        "Ticks the store had committed, lost, and has not got again yet.",
        lambda f: f.to_recover,
    ),
    feeds_by(
        "feed_state",
        Kind.GAUGE,
        f"1 for the state a feed is in: {', '.join(STATES)}.",
        "state",
        lambda f: one_of(f.state, STATES),
    ),
    feeds("feed_live", Kind.GAUGE, "1 if its ticks can be had only once.", lambda f: f.live),
    feeds("feed_active", Kind.GAUGE, "1 while its ticks count, 0 on standby.", lambda f: f.active),
    feeds("feed_waiting", Kind.GAUGE, "1 while it can't write its journal.", lambda f: bool(f.waits_for)),
    feeds("journal_bytes", Kind.GAUGE, "Size of a journal.", lambda f: f.journal_bytes, only=_has_journal),
    feeds(
        "journal_segments",
        Kind.GAUGE,
        "Files of a journal.",
        lambda f: f.journal_segments,
        only=_has_journal,
    ),
    feeds(
        "journal_disk_bytes",
        Kind.GAUGE,
        "Size of the disk the journal is on.",
        lambda f: f.journal_disk_bytes,
        only=_has_journal,
    ),
    feeds(
        "journal_disk_free_bytes",
        Kind.GAUGE,
        "What the disk the journal is on has left for this user.",
        lambda f: f.journal_disk_free_bytes,
        only=_has_journal,
    ),
]

CONNECTIONS = [
    Metric(
        "connection_state",
        Kind.GAUGE,
        f"1 for the state a connection is in: {', '.join(state.value for state in State)}.",
        ("actor", "connection", "state"),
        _states,
    ),
    _connections(
        "connection_state_since_seconds",
        Kind.GAUGE,
        "Since when (epoch s).",
        lambda c: c.since_ms / 1000,
    ),
    _connections(
        "connection_last_frame_seconds",
        Kind.GAUGE,
        "When market data came last, epoch seconds; 0 is never.",
        lambda c: c.last_frame_ms / 1000,
    ),
    _connections("connection_instruments", Kind.GAUGE, "Instruments subscribed.", lambda c: c.instruments),
    _connections(
        "token_ending",
        Kind.GAUGE,
        "1 while a live connection warns that its token ends soon.",
        lambda c: c.state == State.LIVE and bool(c.why),
    ),
]

FEED_METRICS = [*COUNTERS, *DISTRIBUTIONS, *GAUGES, *CONNECTIONS]
