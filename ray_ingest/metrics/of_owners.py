"""Metrics of OHLC actors, of the store as they see it, and of the candles they write."""

from __future__ import annotations

from collections.abc import Iterable

from ray_ingest.core.breaker import BreakerState
from ray_ingest.core.directory import REASONS
from ray_ingest.core.histogram import SECONDS
from ray_ingest.metrics.metric import Kind, Metric, Sample, Seen, one_of, owners, owners_by
from ray_ingest.model import Phase

PHASES = tuple(phase.label for phase in Phase)


def _candle_lag(seen: Seen) -> Iterable[Sample]:
    if not any(feed.live for feed in seen.status.feeds):
        return  # what is replayed is as old as it is
    for owner in seen.status.owners:
        if owner.newest_event_ms:
            yield (owner.name,), seen.now_s - owner.newest_event_ms / 1000


def _trouble_s(seen: Seen) -> Iterable[Sample]:
    for owner in seen.status.owners:
        since_ms = owner.trouble_since_ms
        yield (owner.name,), max(0.0, seen.now_s - since_ms / 1000) if since_ms else 0.0


CANDLES = [
    owners("ticks_processed", Kind.COUNTER, "Ticks committed to the store.", lambda o: o.ticks_committed),
    owners("ohlc_updates", Kind.COUNTER, "Rows of candles committed to the store.", lambda o: o.rows),
    owners("candles_closed", Kind.COUNTER, "Candles that became final.", lambda o: o.closings),
    owners("candles_amended", Kind.COUNTER, "Final candles that were corrected.", lambda o: o.amendings),
    owners(
        "gaps_noted",
        Kind.COUNTER,
        "Notes of missing ticks; the candles they touch are marked.",
        lambda o: o.noted.get("gap_notes", 0),
    ),
    owners_by(
        "ticks_outside_candles",
        Kind.COUNTER,
        "Ticks of phases that make no candle, by phase.",
        "phase",
        lambda o: {phase: number for phase, number in o.noted.items() if phase in PHASES},
    ),
    owners("instruments", Kind.GAUGE, "Instruments an OHLC actor knows.", lambda o: o.instruments),
    owners("open_candles", Kind.GAUGE, "Running candles.", lambda o: o.open_candles),
    owners(
        "in_session",
        Kind.GAUGE,
        "1 while any of its instruments trades continuously, by the calendar.",
        lambda o: o.in_session,
    ),
    owners(
        "newest_event_time_seconds",
        Kind.GAUGE,
        "Newest event time seen, epoch seconds; 0 is none.",
        lambda o: o.newest_event_ms / 1000,
    ),
    owners(
        "watermark_time_seconds",
        Kind.GAUGE,
        "Minutes that end before are over, epoch seconds.",
        lambda o: max(0, o.watermark_ms) / 1000,
    ),
    Metric(
        "candle_lag_seconds",
        Kind.GAUGE,
        "Wall clock less the newest event time; of live feeds only.",
        ("actor",),
        _candle_lag,
    ),
]

STORE = [
    owners(
        "flush_seconds",
        Kind.HISTOGRAM,
        "A flush, from making its plan to finding the store's reply.",
        lambda o: o.flush,
        SECONDS,
    ),
    owners("flush_plan_seconds", Kind.COUNTER, "Spent on making and sending flushes.", lambda o: o.plan_s),
    owners("commit_seconds", Kind.COUNTER, "From flushes sent to their replies found.", lambda o: o.flush_s),
    owners(
        "store_round_trip_seconds",
        Kind.GAUGE,
        "The store's answer to the last small question; 0 before the first.",
        lambda o: o.round_trip_s,
    ),
    owners("store_up", Kind.GAUGE, "0 while nothing can be committed.", lambda o: not o.trouble),
    Metric(
        "store_trouble_seconds",
        Kind.GAUGE,
        "For how long no commit has succeeded after one failed.",
        ("actor",),
        _trouble_s,
    ),
    owners_by(
        "breaker_state",
        Kind.GAUGE,
        f"1 for the state of the store's circuit breaker: {', '.join(BreakerState)}.",
        "state",
        lambda o: one_of(o.breaker, BreakerState),
    ),
]

OWNER_METRICS = [*CANDLES, *STORE]

OWNER_REASONS = tuple(filter(None, REASONS))
"""Why an owner rejects ticks."""
