"""When people are told, and what: out of successive observations, each trouble once, its end once.

A condition is told once it was there for `hold_ms` in all, again after every `repeat_ms`, and its end when it
was away for `calm_ms`; coming and going in between changes nothing. At most `max_per_hour` messages go in
any hour: what is due beyond waits, and what ended meanwhile without having been told is named in the next
message. One of them is kept for the end of the run, so that is always told.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from ray_ingest.core.alert_conditions import GAPS_COMMAND, Condition, Conditions, Health, Totals
from ray_ingest.core.alert_texts import (
    Message,
    degraded_text,
    ended_text,
    recovered_text,
    started_text,
    summary_text,
)
from ray_ingest.core.calendar import Calendar
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS

HOUR_MS = 3_600_000
DAY_MS = DAY_MINUTES * MINUTE_MS
NEVER_MS = 1 << 62
SUMMARY_AFTER_MS = 2 * MINUTE_MS
"""After the day's last phase, so that its last candles are closed."""


class Kind(StrEnum):
    """What a message is about."""

    STARTED = "started"
    DEGRADED = "degraded"
    STILL = "still degraded"
    RECOVERED = "recovered"
    SUMMARY = "daily summary"
    STOPPED = "stopped"
    FAILED = "failed"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """`max_per_hour` is at least 2."""

    hold_ms: int = 3_000
    calm_ms: int = 30_000
    repeat_ms: int = 1_800_000
    max_per_hour: int = 20


class _Episode:
    """One condition from its first sight until its end is told."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.present = False
        self.held_ms = 0
        self.last_ms = 0
        self.told_ms: int | None = None
        self.grade = 0

    def see(self, condition: Condition | None, now_ms: int, passed_ms: int) -> None:
        if condition is not None:
            self.held_ms += passed_ms if self.present else 0
            self.last_ms = now_ms
            self.condition = replace(condition, since_ms=min(condition.since_ms, self.condition.since_ms))
        self.present = condition is not None

    def over(self, now_ms: int, rules: AlertSettings) -> bool:
        return not self.present and now_ms - self.last_ms >= rules.calm_ms

    def due(self, now_ms: int, rules: AlertSettings) -> Kind | None:
        """What should be said about it now."""
        if not self.present:
            return Kind.RECOVERED if self.told_ms is not None and self.over(now_ms, rules) else None
        if self.told_ms is None:
            return Kind.DEGRADED if self.held_ms >= rules.hold_ms else None
        if self.condition.grade > self.grade:
            return Kind.DEGRADED
        return Kind.STILL if now_ms - self.told_ms >= rules.repeat_ms else None


class AlertRules:
    """What to tell of a run, from its observations in the order of time.

    `next_session_end` says after a time (epoch ms) when the last session phase of that or a later day ends;
    None: there is no daily summary. `gaps_command` lists gaps for a person.
    """

    def __init__(
        self,
        settings: AlertSettings,
        next_session_end: Callable[[int], int] | None = None,
        gaps_command: str = GAPS_COMMAND,
    ) -> None:
        self._settings = settings
        self._next_session_end = next_session_end
        self._conditions = Conditions(gaps_command)
        self._episodes: dict[str, _Episode] = {}
        self._sent_ms: deque[int] = deque()
        self._unsaid: Counter[str] = Counter()
        self._waiting: list[Message] = []
        self._began_ms = 0
        self._seen_ms = 0
        self._running = False
        self._totals = Totals()
        self._day_from = Totals()
        self._restarts = self._restarts_before = 0
        self._worst_lag_ms = 0.0
        self._summary_ms = 0

    def observe(self, health: Health) -> list[Message]:
        """What is to be told now, in this order: the start, ends and beginnings of trouble, the summary."""
        now_ms = health.now_ms
        self._note_totals(health)
        if not self._running and any(feed.state == "running" for feed in health.feeds):
            self._running = True
            text = started_text([feed.name for feed in health.feeds], now_ms)
            self._waiting.append(Message(Kind.STARTED, "", "started", text))
        told = self._tell_waiting(now_ms) + self._of_episodes(self._conditions.of(health), now_ms)
        if self._next_session_end is not None and now_ms >= self._summary_ms:
            if self._summary_ms:
                self._waiting.append(self._summary())
            self._summary_ms = self._next_session_end(now_ms - SUMMARY_AFTER_MS) + SUMMARY_AFTER_MS
        self._seen_ms = now_ms
        return told + self._tell_waiting(now_ms)

    def ended(self, now_ms: int, error: str | None = None) -> Message:
        """The last message: the run ended in order, or with an error of one line."""
        failed = error is not None
        still = [key for key, episode in self._episodes.items() if episode.present]
        over = [key for key, episode in self._episodes.items() if episode.told_ms is not None]
        over = [key for key in over if key not in still]
        text = ended_text(
            self._began_ms, now_ms, error, still, over, self._totals, self._restarts, self._worst_lag_ms
        )
        kind = Kind.FAILED if failed else Kind.STOPPED
        return self._with_unsaid(Message(kind, "", f"{kind}: {error}" if failed else kind.value, text))

    def _of_episodes(self, conditions: list[Condition], now_ms: int) -> list[Message]:
        now = {condition.key: condition for condition in conditions}
        for key, condition in now.items():
            self._episodes.setdefault(key, _Episode(condition))
        passed_ms = max(0, now_ms - self._seen_ms)
        told = []
        for key, episode in list(self._episodes.items()):
            episode.see(now.get(key), now_ms, passed_ms)
            kind = episode.due(now_ms, self._settings)
            if kind is not None and self._has_room(now_ms):
                told.append(self._told(kind, episode, now_ms))
            elif episode.told_ms is None and episode.over(now_ms, self._settings):
                self._unsaid[key] += episode.held_ms >= self._settings.hold_ms
                del self._episodes[key]
        return told

    def _told(self, kind: Kind, episode: _Episode, now_ms: int) -> Message:
        condition = episode.condition
        episode.told_ms, episode.grade = now_ms, condition.grade
        if kind is Kind.RECOVERED:
            del self._episodes[condition.key]
            text = recovered_text(condition, episode.last_ms)
        else:
            text = degraded_text(condition, now_ms)
        return self._sent(Message(kind, condition.key, f"{kind}: {condition.key}", text), now_ms)

    def _tell_waiting(self, now_ms: int) -> list[Message]:
        told = []
        while self._waiting and self._has_room(now_ms):
            told.append(self._sent(self._waiting.pop(0), now_ms))
        return told

    def _has_room(self, now_ms: int) -> bool:
        while self._sent_ms and now_ms - self._sent_ms[0] >= HOUR_MS:
            self._sent_ms.popleft()
        return len(self._sent_ms) < self._settings.max_per_hour - 1

    def _sent(self, message: Message, now_ms: int) -> Message:
        self._sent_ms.append(now_ms)
        return self._with_unsaid(message)

    def _with_unsaid(self, message: Message) -> Message:
        unsaid, self._unsaid = +self._unsaid, Counter()
        if not unsaid:
            return message
        names = ", ".join(f"{key} ({n} times)" if n > 1 else key for key, n in unsaid.items())
        most = self._settings.max_per_hour
        return replace(
            message, text=f"{message.text}\nCame and went untold, by the limit of {most} an hour: {names}."
        )

    def _note_totals(self, health: Health) -> None:
        before, now = self._totals, health.totals
        self._began_ms = self._began_ms or health.now_ms
        # A restarted actor counts from nothing again; what was counted stays counted.
        self._totals = Totals(
            max(before.ticks, now.ticks),
            max(before.candles, now.candles),
            max(before.gaps, now.gaps),
            max(before.dropped, now.dropped),
            now.lag_ms,
        )
        self._restarts = max(self._restarts, sum(health.restarts.values()))
        self._worst_lag_ms = max(self._worst_lag_ms, now.lag_ms)

    def _summary(self) -> Message:
        now, then = self._totals, self._day_from
        day = Totals(
            now.ticks - then.ticks,
            now.candles - then.candles,
            now.gaps - then.gaps,
            now.dropped - then.dropped,
        )
        restarts = self._restarts - self._restarts_before
        still = [key for key, episode in self._episodes.items() if episode.told_ms is not None]
        text = summary_text(self._summary_ms - SUMMARY_AFTER_MS, day, restarts, self._worst_lag_ms, still)
        self._day_from, self._restarts_before, self._worst_lag_ms = now, self._restarts, 0.0
        return Message(Kind.SUMMARY, "", Kind.SUMMARY.value, text)


def session_end_after(calendar: Calendar, after_ms: int) -> int:
    """Epoch ms of the first end of a day's last phase, of whichever exchange, that is later than `after_ms`.

    `NEVER_MS` past the calendar's last day.
    """
    classes = {calendar.classify(exchange, "")[0] for exchange in calendar.table.segments}
    day = (after_ms + IST_OFFSET_MS) // DAY_MS
    while day <= calendar.last_day:
        spans = [calendar.span(index, day) for index in classes]
        end = max((start + length for start, length in spans), default=0)
        end_ms = day * DAY_MS - IST_OFFSET_MS + end * MINUTE_MS
        if end and end_ms > after_ms:
            return end_ms
        day += 1
    return NEVER_MS
