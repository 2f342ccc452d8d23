"""How far event time has certainly come, so that minutes can close without a newer tick."""

from __future__ import annotations

from dataclasses import dataclass

END_OF_TIME_MS = 2**62


@dataclass(frozen=True, slots=True)
class WatermarkSettings:
    """All in milliseconds: how far behind the newest tick the watermark stays, after how much silence a
    producer no longer holds it back, and how long after a minute's end the wall clock closes it (live only).
    """

    lateness_ms: int = 2_000
    silence_ms: int = 10_000
    grace_ms: int = 2_000


@dataclass(slots=True)
class _Producer:
    newest_event_ms: int
    heard_ms: int
    live: bool


class Watermark:
    """The least of the live producers' newest event times, less a lateness; between resets it never falls."""

    def __init__(self, settings: WatermarkSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget all that was heard: the store went back, and producers send again what it lost."""
        self._producers: dict[str, _Producer] = {}
        self._any_ended = False
        self._value_ms = 0

    def hear(self, producer: str, newest_event_ms: int, now_ms: int, live: bool) -> None:
        """A producer showed that it lives; `newest_event_ms` is 0 when it has sent no tick yet."""
        known = self._producers.setdefault(producer, _Producer(0, now_ms, live))
        if newest_event_ms > known.newest_event_ms:
            known.newest_event_ms = newest_event_ms
            known.heard_ms = now_ms
        known.live = live

    def end(self, producer: str) -> None:
        """A bounded producer has sent its last tick: it holds nothing back any more."""
        self._producers.pop(producer, None)
        self._any_ended = True

    def at(self, now_ms: int) -> int:
        """Epoch ms up to which minutes are over, as of the wall clock `now_ms`."""
        speaking = [p for p in self._producers.values() if now_ms - p.heard_ms < self._settings.silence_ms]
        if speaking:
            newest_ms = min(p.newest_event_ms for p in speaking) - self._settings.lateness_ms
            self._value_ms = max(self._value_ms, newest_ms)
        elif not self._producers and self._any_ended:
            return END_OF_TIME_MS
        if any(p.live for p in self._producers.values()):
            self._value_ms = max(self._value_ms, now_ms - self._settings.grace_ms)
        return self._value_ms
