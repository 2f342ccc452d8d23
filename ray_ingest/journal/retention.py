"""Which segments of a journal may go. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ray_ingest.journal.segment import Segment
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS

DAY_MS = DAY_MINUTES * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a segment is kept (days since it was last written to), and how much in all (bytes)."""

    keep_days: int
    keep_bytes: int


def session_day(event_ms: int) -> int:
    """The IST day of an event time, counted from 1970-01-01."""
    return (event_ms + IST_OFFSET_MS) // DAY_MS


def next_to_drop(
    partitions: Sequence[Sequence[Segment]], committed: Sequence[int], limits: Limits, now_ms: int
) -> int | None:
    """The partition whose first segment goes next; None when nothing is to go, or nothing may.

    One goes when it is older than `keep_days`, or while all together are over `keep_bytes`, the one last
    written first. What isn't committed never goes, nor what has a tick of the newest session day, nor the
    segment that is written to.
    """
    times = [s.newest_event_ms for segments in partitions for s in segments if s.newest_event_ms is not None]
    newest_day = session_day(max(times)) if times else None
    droppable = [
        (segments[0].newest_written_ms, partition)
        for partition, segments in enumerate(partitions)
        if len(segments) > 1 and _may_go(segments[0], committed[partition], newest_day)
    ]
    if not droppable:
        return None
    written_ms, partition = min(droppable)
    total = sum(segment.size for segments in partitions for segment in segments)
    too_old = now_ms - written_ms > limits.keep_days * DAY_MS
    return partition if too_old or total > limits.keep_bytes else None


def _may_go(segment: Segment, committed: int, newest_day: int | None) -> bool:
    if segment.end > committed:
        return False
    return segment.newest_event_ms is None or session_day(segment.newest_event_ms) != newest_day
