"""The words of alerts: what happened, since when in IST, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ray_ingest.core.alert_conditions import Condition, Totals
from ray_ingest.model import IST_OFFSET_MS


@dataclass(frozen=True, slots=True)
class Message:
    """One alert: `kind` in a word or two, the condition's `key` ("" if it is about none), a subject of one
    line, and a text of several."""

    kind: str
    key: str
    subject: str
    text: str


def started_text(feeds: Sequence[str], now_ms: int) -> str:
    """The run takes ticks."""
    return f"What: the run has begun, feed {', '.join(feeds)}.\nSince: {ist(now_ms)}.\nDo: nothing."


def trial_text(now_ms: int) -> str:
    """Somebody wants to see whether alerts arrive."""
    return f"What: a test; alerts arrive here.\nSince: {ist(now_ms)}.\nDo: nothing."


def degraded_text(condition: Condition, now_ms: int) -> str:
    """Something is wrong, or still is."""
    return (
        f"What: {_line(condition.what)}.\n"
        f"Since: {ist(condition.since_ms)}, for {span(now_ms - condition.since_ms)}.\n"
        f"Do: {condition.mend}. Runbook: “{condition.section}”."
    ) + (f"\nLook: {condition.command}" if condition.command else "")


def recovered_text(condition: Condition, until_ms: int) -> str:
    """It is well again."""
    since_ms = condition.since_ms
    return (
        f"What: over; it was: {_line(condition.what)}.\n"
        f"Since: it lasted from {ist(since_ms)} until {ist(until_ms)}, {span(until_ms - since_ms)}.\n"
        f"Do: nothing. The runbook says what to look at afterwards: “{condition.section}”."
    ) + (f"\nLook: {condition.command}" if condition.command else "")


def ended_text(
    began_ms: int,
    now_ms: int,
    error: str | None,
    still: Sequence[str],
    over: Sequence[str],
    totals: Totals,
    restarts: int,
    worst_lag_ms: float,
) -> str:
    """The run is over; `began_ms` 0: it hadn't begun."""
    since = f"it ran from {ist(began_ms)} until {ist(now_ms)}" if began_ms else ist(now_ms)
    what = (
        "the run has ended in order" if error is None else f"the run has ended with an error: {_line(error)}"
    )
    mend = "nothing; the same command goes on from here"
    if error is not None:
        mend = "mend it and start the same command again: it resumes. Runbook: “The run has failed”"
    lines = [
        f"What: {what}.",
        f"Since: {since}.",
        f"Do: {mend}.",
        "",
        *_figures(totals, restarts, worst_lag_ms),
    ]
    ends = [f"Recovered before: {', '.join(over)}"] if over else []
    return "\n".join(lines + ends + _still(still))


def summary_text(end_ms: int, day: Totals, restarts: int, worst_lag_ms: float, still: Sequence[str]) -> str:
    """What the day brought."""
    lines = [
        "What: the day's last session phase is over.",
        f"Since: {ist(end_ms)}.",
        "Do: nothing." if not still else "Do: see the runbook for what is still wrong.",
        "",
        *_figures(day, restarts, worst_lag_ms),
    ]
    return "\n".join(lines + _still(still))


def ist(time_ms: int) -> str:
    """An epoch time as people in India read it: "05 Aug 2026 15:30:00 IST"."""
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms + IST_OFFSET_MS)
    return f"{local:%d %b %Y %H:%M:%S} IST"


def span(duration_ms: int) -> str:
    """A duration in its two largest units: "17 s", "3 min 5 s", "2 h 10 min"."""
    seconds = max(0, duration_ms) // 1_000
    minutes, hours = seconds // 60, seconds // 3_600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def _figures(totals: Totals, restarts: int, worst_lag_ms: float) -> list[str]:
    return [
        f"Candles closed: {totals.candles:,}",
        f"Ticks committed: {totals.ticks:,}",
        f"Gaps: {totals.gaps:,}",
        f"Dropped: {totals.dropped:,}",
        f"Restarts: {restarts:,}",
        f"Worst lag: {worst_lag_ms:,.0f} ms from receipt to commit (99th percentile)",
    ]


def _still(keys: Sequence[str]) -> list[str]:
    return [f"Not over: {', '.join(keys)}"] if keys else []


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
