"""Starts the actors, watches them, tells how they are, and ends them in order."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayError

from ray_ingest.actors.arbitration import Arbitration, Subscriptions
from ray_ingest.actors.messages import Batch, FeedStats, OhlcStats
from ray_ingest.actors.ohlc_settings import OhlcSettings
from ray_ingest.actors.options import (
    SUPERVISOR,
    feed_name,
    start_feed,
    start_ohlc,
)
from ray_ingest.actors.pump import FeedSettings
from ray_ingest.actors.status import Base, Status, as_ended
from ray_ingest.actors.watching import Watched, answers_of
from ray_ingest.core.failover import FailoverPlan
from ray_ingest.logs import LogSettings, set_up_actor
from ray_ingest.metrics import MetricsEndpoint

__all__ = ["DRIVER_S", "Base", "Plan", "Status", "Supervisor"]

log = logging.getLogger(__name__)

WATCH_S = 0.2
FAILOVER_S = 0.1  # between two looks while feeds stand in for one another
ANSWER_S = 5.0
DRAIN_S = 30.0
DRIVER_S = 3.0  # a driver asks ten times a second; one that hasn't for so long is gone
HEARTBEAT = msgspec.msgpack.encode(Batch("", 0, 0, [], 0, live=False, idle=True, ended=False))


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs: owners, feeds, the Ray namespace of their names, the metrics port (None: none), how long
    an actor may be silent before it is replaced, and how those feeds that are shared stand in for one
    another (None: there are none)."""

    owners: list[OhlcSettings]
    feeds: list[FeedSettings]
    namespace: str
    metrics_port: int | None
    silent_s: float = 10.0
    failover: FailoverPlan | None = None
    log: LogSettings | None = field(default=None, repr=False)

    @property
    def names(self) -> list[str]:
        """Of all actors, the supervisor first."""
        return [SUPERVISOR, *map(feed_name, self.feeds), *(settings.name for settings in self.owners)]

    @property
    def digest(self) -> str:
        """The same for the same plan in every process, and telling nothing of what is in it."""
        return hashlib.blake2b(repr(self).encode(), digest_size=16).hexdigest()


class Supervisor:
    """See the module's text. A thread of its own watches; calls return what it saw last.

    Started again by Ray it finds its actors and begins nothing anew; what it counted is the driver's to keep.
    """

    def __init__(self, plan: Plan) -> None:
        set_up_actor(plan.log, SUPERVISOR)
        self._plan = plan
        owners = {s.name: start_ohlc(s, plan.namespace) for s in plan.owners}
        self._owners = {name: Watched(owner, plan.silent_s) for name, owner in owners.items()}
        self._status = Status([], [], {}, {}, {}, 0, incarnation=uuid4().hex, pid=os.getpid())
        self._pids: dict[str, int] = {}
        self._figures: dict[str, OhlcStats | FeedStats] = {}
        self._feeds: dict[str, Watched] = {}
        self._looking = threading.Lock()
        self._arbitration = Arbitration(plan.failover) if plan.failover else None
        self._subscriptions = Subscriptions()
        self._trouble = ""
        self._is_stopping = False
        self._is_settled = False  # feeds aren't asked any more then: one that Ray starts again counts anew
        self._driver, self._heard_s = "", 0.0
        self._metrics = MetricsEndpoint(self._seen, plan.metrics_port)
        self._status.metrics_port = self._metrics.port
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._watcher.start()

    def __repr__(self) -> str:
        return SUPERVISOR

    def adopt(self, driver: str, digest: str) -> str:
        """Follow this driver from now on. Returns "", or why not: "plan", as this one carries out another,
        or "driver", as its driver lives."""
        if digest != self._plan.digest:
            return "plan"
        if self._driver not in ("", driver) and time.monotonic() - self._heard_s < DRIVER_S:
            return "driver"
        self._driver, self._heard_s = driver, time.monotonic()
        return ""

    def status(self, driver: str = "") -> bytes:
        """`Status` of the last watch; being asked by its driver is also how it knows that this one lives."""
        if driver and self._driver in ("", driver):  # the former: started again, it doesn't know its driver
            self._driver = driver
            self._heard_s = time.monotonic()
        return msgspec.msgpack.encode(self._seen())

    def set_subscriptions(self, lists: Mapping[str, bytes]) -> None:
        """What feeds listen to from now on, by feed, as `live.encoded` writes it; also after Ray has started
        one again."""
        self._subscriptions.set(lists)

    def stop(self, drain: bool) -> bytes:
        """Stop the feeds, wait until what they took is committed, and return the final `Status`.

        Without `drain` nothing is waited for; what isn't committed is sent again by the next run.
        """
        self._is_stopping = True
        if drain:
            deadline_s = time.monotonic() + DRAIN_S
            while not self._all_over() and time.monotonic() < deadline_s:
                for feed in list(self._feeds.values()):  # again and again: Ray may just have started it again
                    feed.handle.stop.remote()
                self._ending.wait(WATCH_S / 4)
                self._look()
            self._is_settled = self._all_over()
            self._ask(self._owners, "drain", DRAIN_S)
        self._ending.set()
        self._watcher.join()
        self._look()
        return msgspec.msgpack.encode(self._seen())

    def close_actors(self) -> None:
        """Have the owners let go of the store; all actors are about to be killed."""
        self._metrics.close()
        self._ask(self._owners, "close")

    def _seen(self) -> Status:
        return self._status

    def _all_over(self) -> bool:
        status = self._seen()
        return len(status.feeds) == len(self._plan.feeds) and status.over

    def _watch(self) -> None:
        last_beat_s = 0.0
        pause_s = FAILOVER_S if self._arbitration else WATCH_S
        while not self._ending.wait(pause_s if self._has_begun else WATCH_S / 10):
            self._look(pause_s)
            if not self._is_stopping:  # feeds that stop have not failed
                self._direct()
            if not self._has_begun and len(self._figures) >= len(self._owners):
                self._begin()
            if self._seen().finished and time.monotonic() - last_beat_s > 1.0:
                last_beat_s = time.monotonic()
                for owner in self._owners.values():
                    owner.handle.push.remote(HEARTBEAT, b"")

    @property
    def _has_begun(self) -> bool:
        return len(self._feeds) == len(self._plan.feeds)

    def _begin(self) -> None:
        """Start the feeds that aren't started yet; what the store had counted before is known."""
        with self._going_on(), self._looking:
            if not self._feeds:
                owners = [figures for figures in self._figures.values() if isinstance(figures, OhlcStats)]
                closed, amended = sum(o.closed for o in owners), sum(o.amended for o in owners)
                self._status = msgspec.structs.replace(
                    self._status, closed_before=closed, amended_before=amended
                )
            handles = [owner.handle for owner in self._owners.values()]
            for settings in self._plan.feeds:
                if feed_name(settings) not in self._feeds:
                    feed = start_feed(settings, handles, self._plan.namespace)
                    self._feeds[feed_name(settings)] = Watched(feed, self._plan.silent_s)

    def _direct(self) -> None:
        """Tell the feeds which of them count and what they listen to."""
        feeds = {settings.name: self._feeds.get(feed_name(settings)) for settings in self._plan.feeds}
        begun = {name: feed for name, feed in feeds.items() if feed is not None}
        figures = {seen.name: seen for seen in self._figures.values() if isinstance(seen, FeedStats)}
        with self._going_on():
            if self._arbitration is not None:
                self._arbitration.step(begun, figures)
            self._subscriptions.step(begun, figures)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """What fails, with Ray's GCS away for one, is said once and tried again in the next round."""
        try:
            yield
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
            if trouble != self._trouble:
                log.warning("the supervisor tries again: %s", trouble, exc_info=True)
            self._trouble = trouble

    def _look(self, patience_s: float = ANSWER_S) -> None:
        """Ask every actor for its figures; one that doesn't answer keeps its last ones."""
        with self._going_on(), self._looking:
            actors = self._owners if self._is_settled else self._owners | self._feeds
            answers = answers_of(actors.items(), patience_s)
            restarts, bases = dict(self._status.restarts), dict(self._status.bases)
            for name, answer in answers.items():
                figures: OhlcStats | FeedStats = (
                    msgspec.msgpack.decode(answer, type=OhlcStats)
                    if name in self._owners
                    else msgspec.msgpack.decode(answer, type=FeedStats)
                )
                before = self._figures.get(name)
                if self._is_stopping and isinstance(before, FeedStats) and isinstance(figures, FeedStats):
                    figures = as_ended(before, figures)
                self._figures[name] = figures
                if self._pids.setdefault(name, figures.pid) != figures.pid:
                    self._pids[name] = figures.pid
                    restarts[name] = restarts.get(name, 0) + 1
                if isinstance(figures, FeedStats) and figures.producer and figures.state != "starting":
                    bases.setdefault(figures.producer, Base(figures.already_committed, figures.counts))
            seen = self._figures.values()
            self._status = msgspec.structs.replace(
                self._status,
                owners=[figures for figures in seen if isinstance(figures, OhlcStats)],
                feeds=[figures for figures in seen if isinstance(figures, FeedStats)],
                restarts=restarts,
                bases=bases,
                **self._takeovers(),
                silent_since_ms={n: a.silent_since_ms for n, a in actors.items() if a.silent_since_ms},
            )

    def _takeovers(self) -> dict[str, Any]:
        told = self._arbitration
        if told is None:
            return {}
        return {"active": sorted(told.active), "takeovers": told.takeovers, "takeover_why": told.why}

    def _ask(self, actors: dict[str, Watched], method: str, *args: Any) -> dict[str, Any]:
        """Answers by actor name; those that fail or take too long are left out."""
        calls = {name: getattr(actor.handle, method).remote(*args) for name, actor in actors.items()}
        answers = {}
        deadline_s = time.monotonic() + (DRAIN_S if method == "drain" else ANSWER_S)
        for name, call in calls.items():
            try:
                answers[name] = ray.get(call, timeout=max(0.0, deadline_s - time.monotonic()))
            except (RayError, GetTimeoutError):
                continue
        return answers
