"""What a person wants to know of a running system, out of two of its statuses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import msgspec

from ray_ingest.actors.messages import ConnectionStats, FeedStats, OhlcStats
from ray_ingest.actors.status import Status
from ray_ingest.core.connection import State, worst

GAP_NOTES = "gap_notes"
"""What an owner's `noted` counts besides ticks."""

CLOSED = ("outside_session", "holiday")
"""Why ticks make no candle while the market is closed by the calendar."""


class FeedGlance(msgspec.Struct):
    """One feed. `state` is the worst of its connections' where it has some, `since_ms` (epoch ms, None: not
    known) since when, `why` in words. `counts`: its ticks make candles now. `lag_s`: since its newest tick
    came, of a live one. `commit_ms`: from receipt to commit, the median of late. `journal_bytes` and
    `disk_free_bytes`: of its journal and its disk, 0 without one."""

    name: str
    state: str
    since_ms: int | None
    why: str
    counts: bool
    ticks: int
    ticks_per_s: float
    lag_s: float | None
    queued: int
    dropped: int
    commit_ms: float | None
    reconnects: int
    journal_bytes: int
    disk_free_bytes: int
    connections: list[ConnectionStats]


class PartitionGlance(msgspec.Struct):
    """One OHLC actor: rows are those of candles written, `flush_ms` the mean time of a commit of late (None:
    there was none), `breaker` the state of its circuit breaker, `trouble` what keeps the store away, `gaps`
    how many intervals without ticks it has noted."""

    name: str
    ticks: int
    ticks_per_s: float
    rows: int
    closed: int
    amended: int
    running: int
    waiting: int
    flush_ms: float | None
    breaker: str
    trouble: str
    gaps: int


class Glance(msgspec.Struct):
    """All of it, at `at_ms` (epoch ms). `troubles` are those of store, journal and silent actors, and reasons
    of feeds that aren't well, in words; empty: all is well. `without_candle`: ticks by why they made none."""

    at_ms: int
    feeds: list[FeedGlance]
    partitions: list[PartitionGlance]
    restarts: dict[str, int]
    takeovers: int
    takeover_why: str
    without_candle: dict[str, int]
    troubles: list[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """A status, and when it was asked for: epoch ms, and seconds of a steady clock."""

    status: Status
    at_ms: int
    at_s: float


def glance(now: Seen, before: Seen | None = None) -> Glance:
    """How things are; rates are those between the two looks, 0 without the earlier one."""
    status, earlier = now.status, before.status if before else None
    took_s = now.at_s - before.at_s if before else 0.0
    old_feeds = {feed.name: feed for feed in earlier.feeds} if earlier else {}
    old_owners = {owner.name: owner for owner in earlier.owners} if earlier else {}
    silent = status.silent_since_ms
    feeds = [
        _feed(feed, old_feeds.get(feed.name), took_s, now.at_ms, silent.get(f"feed[{feed.name}]"))
        for feed in status.feeds
    ]
    partitions = [_partition(owner, old_owners.get(owner.name), took_s) for owner in status.owners]
    without = Counter[str]()
    for counts in (*(feed.rejected for feed in status.feeds), *(owner.noted for owner in status.owners)):
        without.update(counts)
    del without[GAP_NOTES]
    return Glance(
        at_ms=now.at_ms,
        feeds=feeds,
        partitions=partitions,
        restarts=dict(status.restarts),
        takeovers=status.takeovers,
        takeover_why=status.takeover_why,
        without_candle=dict(without),
        troubles=[*_troubles(status, feeds, now.at_ms), *_simulated_in_vain(status, earlier)],
    )


def _feed(
    feed: FeedStats, before: FeedStats | None, took_s: float, now_ms: int, silent_ms: int | None
) -> FeedGlance:
    state, since_ms, why = feed.state, None, feed.error
    if feed.state == "running" and feed.connections:
        state = worst(connection.state for connection in feed.connections)
        gravest = next(c for c in feed.connections if c.state == state)
        since_ms, why = gravest.since_ms, gravest.why
    if silent_ms is not None:
        state, since_ms, why = "silent", silent_ms, "its process doesn't answer"
    newest_ms = max([feed.last_tick_ms, *(c.last_frame_ms for c in feed.connections)])
    return FeedGlance(
        name=feed.name,
        state=state,
        since_ms=since_ms,
        why=why,
        counts=feed.active,
        ticks=feed.received,
        ticks_per_s=_rate(feed.received, before.received if before else None, took_s),
        lag_s=max(0, now_ms - newest_ms) / 1000 if feed.live and newest_ms else None,
        queued=feed.queued,
        dropped=feed.dropped,
        commit_ms=feed.latency_ms[0] if feed.latency_ms else None,
        reconnects=sum(connection.reconnects for connection in feed.connections),
        journal_bytes=feed.journal_bytes,
        disk_free_bytes=feed.journal_disk_free_bytes,
        connections=feed.connections,
    )


def _partition(owner: OhlcStats, before: OhlcStats | None, took_s: float) -> PartitionGlance:
    flushes, flush_s = owner.flushes, owner.flush_s
    if before and before.flushes < flushes:
        flushes, flush_s = flushes - before.flushes, flush_s - before.flush_s
    return PartitionGlance(
        name=owner.name,
        ticks=owner.ticks_committed,
        ticks_per_s=_rate(owner.ticks_committed, before.ticks_committed if before else None, took_s),
        rows=owner.rows,
        closed=owner.closed,
        amended=owner.amended,
        running=owner.open_candles,
        waiting=owner.ticks_pending,
        flush_ms=flush_s / flushes * 1000 if flushes else None,
        breaker=owner.breaker,
        trouble=owner.trouble,
        gaps=owner.noted.get(GAP_NOTES, 0),
    )


def _troubles(status: Status, feeds: list[FeedGlance], now_ms: int) -> list[str]:
    found = [f"{name} has not answered for {_for(ms, now_ms)}" for name, ms in status.silent_since_ms.items()]
    for owner in status.owners:
        if owner.trouble:
            since = f" for {_for(owner.trouble_since_ms, now_ms)}" if owner.trouble_since_ms else ""
            found.append(f"{owner.name} can't commit{since}: {owner.trouble}")
    for feed, seen in zip(status.feeds, feeds, strict=True):
        if seen.state == "failed" or seen.state in (State.STALE, State.BACKING_OFF, State.TOKEN_EXPIRED):
            why = f": {seen.why}" if seen.why else ""
            found.append(f"{feed.name} is {seen.state}{why}")
        if feed.waits_for:
            found.append(f"{feed.name} waits: {feed.waits_for}")
        if feed.dropped:
            found.append(f"{feed.name} dropped {feed.dropped:,} ticks: its buffer was full")
        if feed.to_recover:
            found.append(f"{feed.name} sends {feed.to_recover:,} ticks again, which the store has lost")
    return found


def _simulated_in_vain(now: Status, before: Status | None) -> list[str]:
    """An endless simulation whose ticks of late all fell outside of the sessions. Brokers send cached ticks
    out of hours every day, so of them nothing is said."""
    endless = any(feed.name == "sim" and feed.live and feed.state == "running" for feed in now.feeds)
    if not endless or before is None:
        return []
    (rows, outside), (rows_before, outside_before) = _made(now.owners), _made(before.owners)
    if rows != rows_before or outside <= outside_before:
        return []
    return [
        "sim: the market is closed by the calendar, so its ticks make no candles; calendar=continuous "
        "simulates round the clock"
    ]


def _made(owners: list[OhlcStats]) -> tuple[int, int]:
    """Rows of candles written, and ticks that made none because the market was closed."""
    outside = sum(owner.noted.get(why, 0) for owner in owners for why in CLOSED)
    return sum(owner.rows for owner in owners), outside


def _rate(now: int, before: int | None, took_s: float) -> float:
    """A restarted actor counts from nothing again: no rate is below zero."""
    return max(0.0, (now - before) / took_s) if before is not None and took_s > 0 else 0.0


def _for(since_ms: int, now_ms: int) -> str:
    return duration_text((now_ms - since_ms) / 1000)


def duration_text(seconds: float) -> str:
    """ "3.2 s", "4 min", "2 h 05 min", "3 d"."""
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{max(0.0, seconds):.1f} s"
    if whole < 3_600:
        return f"{whole // 60} min"
    return f"{whole // 3_600} h {whole % 3_600 // 60:02} min" if whole < 86_400 else f"{whole // 86_400} d"
