"""How long to wait before a connection is tried again: exponential with full jitter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ray_ingest.core.connection import Trouble


@dataclass(frozen=True, slots=True)
class BackoffSettings:
    """Seconds: a wait is random below a bound that begins at `first_s` and doubles up to `longest_s`; the
    other two bounds are for a server that said no. A connection that did well for `healthy_s` begins anew."""

    first_s: float = 0.5
    longest_s: float = 15.0
    refused_first_s: float = 2.0
    refused_longest_s: float = 60.0
    healthy_s: float = 30.0


class Backoff:
    """The waits of one connection; `random` gives numbers from 0 to 1, 1 excluded."""

    def __init__(self, settings: BackoffSettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random
        self._failures = 0

    def wait_s(self, trouble: Trouble, healthy_s: float) -> float:
        """Seconds until the next attempt, after the last one brought `healthy_s` seconds of data."""
        if healthy_s >= self._settings.healthy_s:
            self._failures = 0
        first_s, longest_s = self._settings.first_s, self._settings.longest_s
        if trouble is Trouble.REFUSED:
            first_s, longest_s = self._settings.refused_first_s, self._settings.refused_longest_s
        bound_s: float = min(longest_s, first_s * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return self._random() * bound_s
