"""What a run shows while it goes: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.status import Status as LiveLine

from ray_ingest.actors.supervisor import Status

PLAIN_EVERY_S = 5.0
LIVE_EVERY_S = 0.2


class Progress:
    """Shown every `Status`, it decides what a person wants to see of it; use it in a `with` statement."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line: LiveLine | None = None
        self._began_s = time.monotonic()
        self._next_s = 0.0
        self._last = (self._began_s, 0)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._line = self._console.status("starting the store, Ray and the actors …")
            self._line.start()
        else:
            self._console.print("starting the store, Ray and the actors …")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.stop()

    def show(self, status: Status) -> None:
        """The state of things as of now."""
        now_s = time.monotonic()
        if now_s < self._next_s and not status.finished:
            return
        self._next_s = now_s + (LIVE_EVERY_S if self._line else PLAIN_EVERY_S)
        text = self._text(status, now_s)
        if self._line is not None:
            self._line.update(text)
        else:
            self._console.print(text)

    def _text(self, status: Status, now_s: float) -> str:
        committed = sum(owner.ticks_committed for owner in status.owners)
        before_s, before = self._last
        rate = (committed - before) / max(now_s - before_s, 1e-9)
        self._last = (now_s, committed)
        feeds = ", ".join(f"{feed.name} {feed.state}" for feed in status.feeds) or "starting"
        queued = sum(feed.queued for feed in status.feeds)
        closed = sum(owner.closed for owner in status.owners)
        trouble = next((owner.trouble for owner in status.owners if owner.trouble), "")
        return (
            f"{feeds}: {committed:,} ticks committed ({rate:,.0f}/s), {queued:,} queued, "
            f"{closed:,} candles closed{' — ' + trouble if trouble else ''}"
        )
