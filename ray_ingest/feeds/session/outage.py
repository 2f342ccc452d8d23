"""What a connection misses while it is down, told bit by bit, should its process die meanwhile."""

from __future__ import annotations

from ray_ingest.feeds.source import Disconnected


class Outage:
    """From the last tick before; of which instruments (ids of the feed's table), `include` says. Times are
    epoch ms."""

    def __init__(self, from_ms: int, tell_s: float) -> None:
        self._from_ms = from_ms
        self._instruments: tuple[int, ...] = ()
        self._tell_ms = tell_s * 1000
        self._was_open = True

    def at(self, now_ms: int, is_open: bool) -> Disconnected | None:
        """What is to be told by now: some every `tell_s` while the market is open, the rest when it closes;
        a closed market is nothing to miss."""
        due = is_open and now_ms - self._from_ms >= self._tell_ms
        missed = self.until(now_ms) if due or (self._was_open and not is_open) else None
        self._was_open = is_open
        if missed is not None or not is_open:
            self._from_ms = now_ms
        return missed

    def include(self, instruments: tuple[int, ...]) -> None:
        """It is these too that are missed."""
        self._instruments = tuple(dict.fromkeys(self._instruments + instruments))

    def until(self, to_ms: int) -> Disconnected:
        """The rest, up to the first tick after it."""
        return Disconnected(min(self._from_ms, to_ms), to_ms, self._instruments)
