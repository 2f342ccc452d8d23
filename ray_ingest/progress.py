"""What a run shows while it goes: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.status import Status as LiveLine

from ray_ingest.actors.messages import FeedStats
from ray_ingest.actors.status import Base, Status
from ray_ingest.core.connection import State, worst
from ray_ingest.metrics import ADDRESS

PLAIN_EVERY_S = 5.0
LIVE_EVERY_S = 0.2
RATE_OVER_S = 1.0
CALM_S = 1.0
ROUTINE = {"outside_session"}
"""Rejects of every ordinary day: brokers send a cached snapshot out of hours to whoever subscribes."""
ALARMING = {State.BACKING_OFF, State.STALE, State.TOKEN_EXPIRED}
_WHOLE_LINES: Any = {"highlight": False, "soft_wrap": True}
STARTING = "starting the store, Ray and the actors …"
STOPPING = "stopping, what has come in is still committed; Ctrl-C again stops at once"

log = logging.getLogger("ray_ingest")


class Progress:
    """Shown every `Status`, it decides what a person wants to see of it; use it in a `with` statement.

    What should not be missed goes to the log, each thing once: samples of rejected ticks, trouble with the
    store and its end, restarts of actors. `stop` is set once the run is asked to end.
    """

    def __init__(self, console: Console, stop: threading.Event) -> None:
        self._console = console
        self._stop = stop
        self._said_stopping = False
        self._line: LiveLine | None = None
        self._next_s = 0.0
        self._shown = ""
        self._committed = 0
        self._closed = 0
        self._rate = 0.0
        self._rated_at: tuple[float, int] | None = None
        self._sampled: set[str] = set()
        self._trouble_s: float | None = None
        self._waiting: set[str] = set()
        self._dropped = 0
        self._restarts: dict[str, int] = {}
        self._connections: dict[str, str] = {}
        self._takeovers = 0

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._line = self._console.status(STARTING)
            self._line.start()
        else:
            self._console.print(STARTING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.stop()

    def show(self, status: Status) -> None:
        """The state of things as of now."""
        now_s = time.monotonic()
        self._log_events(status, now_s)
        if self._stop.is_set() and not self._said_stopping:
            self._said_stopping = True
            self._console.print(STOPPING, **_WHOLE_LINES)
        running = any(feed.state != "starting" for feed in status.feeds)
        if not running or (now_s < self._next_s and not status.finished):
            return
        if not self._shown and status.metrics_port:
            self._console.print(f"metrics: http://{ADDRESS}:{status.metrics_port}/metrics", **_WHOLE_LINES)
        self._next_s = now_s + (LIVE_EVERY_S if self._line else PLAIN_EVERY_S)
        text = self._text(status, now_s)
        if self._line is not None:
            self._line.update(text)
        elif text != self._shown:
            self._console.print(text, **_WHOLE_LINES)
        self._shown = text

    def _text(self, status: Status, now_s: float) -> str:
        bases = status.bases
        committed = sum(
            feed.committed - bases.get(feed.producer, Base(0, {})).committed for feed in status.feeds
        )
        # A restarted actor counts from nothing again; what was shown doesn't fall.
        self._committed = max(self._committed, committed)
        self._closed = max(self._closed, status.closed if status.owners else 0)
        feeds = ", ".join(f"{feed.name} {_state(feed)}" for feed in status.feeds)
        candles = f"{self._closed:,} candles closed"
        if status.finished:
            return f"{feeds}: {self._committed:,} ticks committed, {candles}"
        queued = sum(feed.queued for feed in status.feeds)
        rate = self._ticks_per_s(now_s)
        lost = sum(feed.to_recover for feed in status.feeds)
        recovering = f", {lost:,} to recover" if lost else ""
        return f"{feeds}: {self._committed:,} ticks ({rate:,.0f}/s), {queued:,} queued{recovering}, {candles}"

    def _ticks_per_s(self, now_s: float) -> float:
        """Of the last second or two: figures come in steps, and a shorter look would see them."""
        if self._rated_at is None:
            self._rated_at = (now_s, self._committed)
        since_s, before = self._rated_at
        if now_s - since_s >= RATE_OVER_S:
            self._rate = (self._committed - before) / (now_s - since_s)
            self._rated_at = (now_s, self._committed)
        return self._rate

    def _log_events(self, status: Status, now_s: float) -> None:
        samples = {r: text for f in status.feeds for r, text in f.samples.items()}
        samples |= {r: text for o in status.owners for r, text in o.samples.items()}
        for reason in sorted(samples.keys() - self._sampled):
            level = logging.INFO if reason in ROUTINE else logging.WARNING
            log.log(level, "rejected a tick, %s: %s", reason, samples[reason])
        self._sampled |= samples.keys()
        self._log_connections(status)
        waiting = {f"{feed.name} waits: {feed.waits_for}" for feed in status.feeds if feed.waits_for}
        for line in sorted(waiting - self._waiting):
            log.warning("%s", line)
        self._waiting |= waiting
        dropped = sum(feed.dropped for feed in status.feeds)
        if dropped and not self._dropped:
            log.warning("ticks are dropped, a feed's buffer is full: their candles are marked as gaps")
        self._dropped = dropped
        trouble = next((owner.trouble for owner in status.owners if owner.trouble), "")
        if trouble:
            if self._trouble_s is None:
                log.warning("%s; ticks wait meanwhile", trouble)
            self._trouble_s = now_s
        elif self._trouble_s is not None and now_s - self._trouble_s >= CALM_S:
            log.warning("the store is back")
            self._trouble_s = None
        for name, number in status.restarts.items():
            if number > self._restarts.get(name, 0):
                log.warning("%s was restarted and goes on", name)
        self._restarts = dict(status.restarts)

    def _log_connections(self, status: Status) -> None:
        """Each change of a connection's state, and who counts from now on."""
        if status.takeovers > self._takeovers:
            log.warning("%s", status.takeover_why)
        self._takeovers = status.takeovers
        for feed in status.feeds:
            for connection in feed.connections:
                before = self._connections.get(connection.name, "")
                if connection.state == before:
                    continue
                self._connections[connection.name] = connection.state
                level = (
                    logging.WARNING if connection.state in ALARMING or before in ALARMING else logging.INFO
                )
                why = f": {connection.why}" if connection.why else ""
                who = {"broker": feed.name}
                log.log(level, "%s is %s%s", connection.name, connection.state, why, extra=who)


def _state(feed: FeedStats) -> str:
    """In a word; of a live feed how its connections are, and whether it only stands by."""
    state = worst(connection.state for connection in feed.connections) if feed.state == "running" else ""
    return (state or feed.state) + ("" if feed.active or not state else " (standby)")
