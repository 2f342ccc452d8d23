"""A `Glance` on a terminal of 80 columns or more."""

from __future__ import annotations

from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ray_ingest.clock import IST
from ray_ingest.core.connection import State
from ray_ingest.status.glance import FeedGlance, Glance, PartitionGlance, duration_text

_GOOD = {State.LIVE, "running", "ended"}
_BAD = {State.STALE, State.BACKING_OFF, State.TOKEN_EXPIRED, "failed", "silent"}


def screen(seen: Glance, legend: str = "") -> Group:
    """All of it, top down: is it well, the feeds, the partitions, and what else there is to know. `legend`
    ends the first line."""
    clock = datetime.fromtimestamp(seen.at_ms / 1000, IST)
    head = Text(f"ray_ingest at {clock:%H:%M:%S} IST: ")
    if seen.troubles:
        head.append(f"{len(seen.troubles)} to look at", "bold red")
    else:
        head.append("all is well" if seen.feeds else "starting", "bold green" if seen.feeds else "yellow")
    if legend:
        head.append(f" ({legend})", "dim")
    parts: list[RenderableType] = [head, Text()]
    if seen.feeds:
        parts += [_feeds(seen.feeds, seen.at_ms), Text()]
    if seen.partitions:
        parts += [_partitions(seen.partitions), Text()]
    parts += [Text(f"! {trouble}", "red") for trouble in seen.troubles]
    parts += [Text(line, "dim") for line in _notes(seen)]
    return Group(*parts)


def _feeds(feeds: list[FeedGlance], now_ms: int) -> Table:
    table = _table("feed", "state", "for", "ticks/s", "newest", "queued", "commit", "ticks")
    for feed in feeds:
        shown = Text(
            feed.state, "green" if feed.state in _GOOD else "red" if feed.state in _BAD else "yellow"
        )
        if not feed.counts:
            shown.append(" (standby)", "dim")
        since = duration_text((now_ms - feed.since_ms) / 1000) if feed.since_ms else "–"
        lag = f"{duration_text(feed.lag_s)} ago" if feed.lag_s is not None else "–"
        commit = f"{feed.commit_ms:.1f} ms" if feed.commit_ms is not None else "–"
        rate = f"{feed.ticks_per_s:,.0f}"
        table.add_row(Text(feed.name), shown, since, rate, lag, f"{feed.queued:,}", commit, f"{feed.ticks:,}")
    return table


def _partitions(partitions: list[PartitionGlance]) -> Table:
    table = _table("partition", "store", "ticks/s", "rows", "closed", "running", "flush", "waiting")
    for part in partitions:
        state = "away" if part.trouble else "ok" if part.breaker == "closed" else part.breaker
        table.add_row(
            Text(part.name),
            Text(state, "green" if state == "ok" else "red"),
            f"{part.ticks_per_s:,.0f}",
            f"{part.rows:,}",
            f"{part.closed:,}",
            f"{part.running:,}",
            f"{part.flush_ms:.1f} ms" if part.flush_ms is not None else "–",
            f"{part.waiting:,}",
        )
    return table


def _notes(seen: Glance) -> list[str]:
    lines = []
    if seen.takeovers:
        lines.append(f"takeovers: {seen.takeovers}, the last: {seen.takeover_why}")
    for title, numbers in (("restarts", seen.restarts), ("ticks without a candle", seen.without_candle)):
        told = ", ".join(f"{name} {number:,}" for name, number in sorted(numbers.items()) if number)
        if told:
            lines.append(f"{title}: {told}")
    for feed in seen.feeds:
        if feed.disk_free_bytes:
            size, free = feed.journal_bytes / (1 << 20), feed.disk_free_bytes / (1 << 30)
            lines.append(f"journal of {feed.name}: {size:,.0f} MB, {free:,.1f} GB free on its disk")
    gaps = sum(part.gaps for part in seen.partitions)
    if gaps:
        lines.append(f"gaps: {gaps:,}; listed by python -m ray_ingest.candles [--url … | --data-dir …] gaps")
    reconnects = {feed.name: feed.reconnects for feed in seen.feeds if feed.reconnects}
    if reconnects:
        lines.append("reconnects: " + ", ".join(f"{name} {n:,}" for name, n in reconnects.items()))
    return lines


def _table(first: str, second: str, *numbers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(first, no_wrap=True)
    table.add_column(second, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
