"""When keys go: the document's lists after a day at most, the day strings after the days of history kept."""

from __future__ import annotations

from typing import Protocol

from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS

DAY_MS = DAY_MINUTES * MINUTE_MS
_MORNING_MS = 9 * 60 * MINUTE_MS


class SessionDays(Protocol):
    """What expiry asks of a calendar."""

    expires_daily: bool

    def next_session_day(self, day: int) -> int:
        """The first session day after `day`, both counted from 1970-01-01."""


class Expiry:
    """Expiry times in epoch ms of the keys of one session day."""

    def __init__(self, calendar: SessionDays, lists_ttl_ms: int, history_days: int, stream_ms: int) -> None:
        self._calendar = calendar
        self._lists_ttl_ms = lists_ttl_ms
        self._history_ms = history_days * DAY_MS
        self._stream_ms = stream_ms

    def lists_at_ms(self, day: int, now_ms: int) -> int:
        """`lists_ttl` from now or 09:00 IST of the session day after `day`, whichever is sooner.

        Of a day whose next session has begun already, `lists_ttl` from now. A calendar without a daily
        session has no such morning.
        """
        after_ttl_ms = self.past_at_ms(now_ms)
        if not self._calendar.expires_daily:
            return after_ttl_ms
        morning_ms = self._calendar.next_session_day(day) * DAY_MS - IST_OFFSET_MS + _MORNING_MS
        return after_ttl_ms if morning_ms <= now_ms else min(after_ttl_ms, morning_ms)

    def past_at_ms(self, now_ms: int) -> int:
        """Expiry of a list of a day gone by that is written now."""
        return now_ms + self._lists_ttl_ms

    def history_at_ms(self, day: int, now_ms: int) -> int:
        """Expiry of the day string: the days of history after the day's end, or after now if later."""
        return max((day + 1) * DAY_MS - IST_OFFSET_MS, now_ms) + self._history_ms

    def stream_from_ms(self, now_ms: int) -> int:
        """Entries of the closed stream older than this are trimmed."""
        return now_ms - self._stream_ms
