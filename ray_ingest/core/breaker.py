"""When an owner asks its store, and when it lets it rest.

pybreaker, circuitbreaker and purgatory wrap one call and read the clock themselves; a commit is begun in one
call and collected in another, with the time passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """Closed: the store is asked. Open: it isn't. Half open: one attempt shows whether it is back."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Failures in a row that open it, seconds it stays open at first and at most, and successes in a row of
    single attempts that close it."""

    failures: int = 5
    open_s: float = 1.0
    longest_open_s: float = 30.0
    successes: int = 1


class CircuitBreaker:
    """Counts what becomes of attempts; times are seconds of one monotonic clock.

    Below `failures` in a row the next attempt is allowed at once. Each attempt that fails after a rest makes
    the next rest twice as long, up to the longest, until the breaker closes. An attempt allowed is to be
    followed by `succeeded` or `failed`.
    """

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._state = BreakerState.CLOSED
        self._in_a_row = 0
        self._attempting = False
        self._rest_s = settings.open_s
        self._rested_s = 0.0

    @property
    def state(self) -> BreakerState:
        """As of the last call."""
        return self._state

    def allows(self, now_s: float) -> bool:
        """Whether an attempt may be made now; half open, only if none is under way."""
        if self._state is BreakerState.OPEN and now_s >= self._rested_s:
            self._state, self._in_a_row = BreakerState.HALF_OPEN, 0
        if self._state is BreakerState.HALF_OPEN and not self._attempting:
            self._attempting = True
            return True
        return self._state is BreakerState.CLOSED

    def succeeded(self, now_s: float) -> None:
        """An attempt succeeded. While open it is one begun before, and counts for nothing."""
        match self._state:
            case BreakerState.CLOSED:
                self._in_a_row = 0
            case BreakerState.HALF_OPEN:
                self._attempting = False
                self._in_a_row += 1
                if self._in_a_row >= self._settings.successes:
                    self._state, self._in_a_row = BreakerState.CLOSED, 0
                    self._rest_s = self._settings.open_s

    def failed(self, now_s: float) -> None:
        """An attempt failed. While open it is one begun before, and counts for nothing."""
        match self._state:
            case BreakerState.CLOSED:
                self._in_a_row += 1
                if self._in_a_row >= self._settings.failures:
                    self._open(now_s)
            case BreakerState.HALF_OPEN:
                self._rest_s = min(2 * self._rest_s, self._settings.longest_open_s)
                self._open(now_s)

    def _open(self, now_s: float) -> None:
        self._state, self._attempting = BreakerState.OPEN, False
        self._rested_s = now_s + self._rest_s
