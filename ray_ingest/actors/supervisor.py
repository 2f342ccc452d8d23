"""Starts the actors, watches them, tells how they are, and ends them in order."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayError

from ray_ingest.actors.feed import FeedSettings
from ray_ingest.actors.messages import Batch, FeedStats, OhlcStats
from ray_ingest.actors.ohlc import OhlcSettings
from ray_ingest.actors.options import start_feed, start_ohlc
from ray_ingest.metrics import MetricsEndpoint

WATCH_S = 0.2
ANSWER_S = 5.0
DRAIN_S = 30.0
HEARTBEAT = msgspec.msgpack.encode(Batch("", 0, 0, [], 0, live=False, idle=True, ended=False))


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs: owners, feeds, the Ray namespace of their names, and the metrics port (None: none)."""

    owners: list[OhlcSettings]
    feeds: list[FeedSettings]
    namespace: str
    metrics_port: int | None


class Base(msgspec.Struct):
    """Where a producer stood when this run began: ticks committed, and the owners' counts by reason."""

    committed: int
    counts: dict[str, int]


class Status(msgspec.Struct):
    """How everything is: the actors' latest figures, how often each was restarted, where each producer began,
    since when (epoch ms) an actor hasn't answered, the metrics port (0: none), and how many candles the store
    counted as closed and amended before the run."""

    owners: list[OhlcStats]
    feeds: list[FeedStats]
    restarts: dict[str, int]
    bases: dict[str, Base]
    silent_since_ms: dict[str, int]
    metrics_port: int
    closed_before: int = 0
    amended_before: int = 0

    @property
    def closed(self) -> int:
        """Candles closed in this run."""
        return sum(owner.closed for owner in self.owners) - self.closed_before

    @property
    def amended(self) -> int:
        """Closed candles amended in this run."""
        return sum(owner.amended for owner in self.owners) - self.amended_before

    @property
    def finished(self) -> bool:
        """No feed will send anything more."""
        return bool(self.feeds) and all(f.state in ("ended", "stopped", "failed") for f in self.feeds)


class Supervisor:
    """See the module's text. A thread of its own watches; calls return what it saw last."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._owners = {s.name: start_ohlc(s, plan.namespace) for s in plan.owners}
        begun = ray.get([owner.stats.remote() for owner in self._owners.values()])
        handles = list(self._owners.values())
        self._feeds = {f"feed[{s.name}]": start_feed(s, handles, plan.namespace) for s in plan.feeds}
        before = [msgspec.msgpack.decode(answer, type=OhlcStats) for answer in begun]
        closed, amended = sum(o.closed for o in before), sum(o.amended for o in before)
        self._status = Status([], [], {}, {}, {}, 0, closed, amended)
        self._pids: dict[str, int] = {}
        self._figures: dict[str, OhlcStats | FeedStats] = {}
        self._lock = threading.Lock()
        self._metrics = MetricsEndpoint(self._seen, plan.metrics_port)
        self._status.metrics_port = self._metrics.port
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._watcher.start()

    def __repr__(self) -> str:
        return "supervisor"

    def status(self, fresh: bool = False) -> bytes:
        """`Status`, of the last watch or as of now."""
        if fresh:
            self._look()
        return msgspec.msgpack.encode(self._seen())

    def stop(self, drain: bool) -> bytes:
        """Stop the feeds, wait until what they took is committed, and return the final `Status`.

        Without `drain` nothing is waited for; what isn't committed is sent again by the next run.
        """
        if drain:
            self._ask(self._feeds, "stop")
            deadline_s = time.monotonic() + DRAIN_S
            self._look()
            while not self._seen().finished and time.monotonic() < deadline_s:
                self._ending.wait(WATCH_S / 4)
                self._look()
            self._ask(self._owners, "drain", DRAIN_S)
        self._ending.set()
        self._watcher.join()
        self._look()
        return msgspec.msgpack.encode(self._seen())

    def end_actors(self) -> None:
        """End all actors, feeds first; each closes what it holds."""
        self._metrics.close()
        for actors in (self._feeds, self._owners):
            if actors is self._owners:
                self._ask(actors, "close")
            for handle in actors.values():
                ray.kill(handle)

    def _seen(self) -> Status:
        with self._lock:
            return self._status

    def _watch(self) -> None:
        last_beat_s = 0.0
        while not self._ending.wait(WATCH_S):
            self._look()
            if self._seen().finished and time.monotonic() - last_beat_s > 1.0:
                last_beat_s = time.monotonic()
                for owner in self._owners.values():
                    owner.push.remote(HEARTBEAT, b"")

    def _look(self) -> None:
        """Ask every actor for its figures; one that doesn't answer keeps its last ones."""
        answers = self._ask(self._owners | self._feeds, "stats")
        with self._lock:
            status = self._status
            now_ms = time.time_ns() // 1_000_000
            for name in (*self._owners, *self._feeds):
                if name not in answers:
                    status.silent_since_ms.setdefault(name, now_ms)
                    continue
                status.silent_since_ms.pop(name, None)
                figures: OhlcStats | FeedStats = (
                    msgspec.msgpack.decode(answers[name], type=OhlcStats)
                    if name in self._owners
                    else msgspec.msgpack.decode(answers[name], type=FeedStats)
                )
                self._figures[name] = figures
                if self._pids.setdefault(name, figures.pid) != figures.pid:
                    self._pids[name] = figures.pid
                    status.restarts[name] = status.restarts.get(name, 0) + 1
                if isinstance(figures, FeedStats) and figures.producer and figures.state != "starting":
                    base = Base(figures.already_committed, figures.counts)
                    status.bases.setdefault(figures.producer, base)
            status.owners = [f for f in self._figures.values() if isinstance(f, OhlcStats)]
            status.feeds = [f for f in self._figures.values() if isinstance(f, FeedStats)]

    def _ask(self, actors: dict[str, Any], method: str, *args: Any) -> dict[str, Any]:
        """Answers by actor name; those that fail or take too long are left out."""
        calls = {name: getattr(actor, method).remote(*args) for name, actor in actors.items()}
        answers = {}
        deadline_s = time.monotonic() + (DRAIN_S if method == "drain" else ANSWER_S)
        for name, call in calls.items():
            try:
                answers[name] = ray.get(call, timeout=max(0.0, deadline_s - time.monotonic()))
            except (RayError, GetTimeoutError):
                continue
        return answers
