"""Read this first: how one run goes, from an open store to a report.

    feed actors ──ticks──► OHLC actors ──one Lua call──► store ──► Candles API, redis-cli, notebooks
         ▲────committed offset────┘         supervisor: starts, watches, ends them

`open_store` finds or starts the store; `run` brings up Ray, has the supervisor start the actors, watches
until the feeds have ended or somebody asks to stop, and takes everything down in order. What dies on the way
is started again: actors by Ray, the embedded store and a Ray of our own by `run`.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from ray_ingest.actors.driver import Driver
from ray_ingest.actors.ohlc_settings import OhlcSettings
from ray_ingest.actors.options import SUPERVISOR
from ray_ingest.actors.pump import FeedSettings
from ray_ingest.actors.runtime import RayLostError, Runtime
from ray_ingest.actors.sender import SenderSettings
from ray_ingest.actors.status import Status, Story
from ray_ingest.actors.supervisor import Plan
from ray_ingest.clock import epoch_ms
from ray_ingest.config import AppConfig, ReplayFeedConfig, SimFeedConfig
from ray_ingest.core.breaker import BreakerSettings
from ray_ingest.core.failover import FailoverPlan, FailoverSettings
from ray_ingest.errors import ActorError, ConfigError, RayIngestError, StoreError
from ray_ingest.feeds.replay_source import ReplaySource
from ray_ingest.feeds.session.source import BrokerSource
from ray_ingest.feeds.sim_source import SimSource
from ray_ingest.feeds.source import TickSource
from ray_ingest.journal import JournalSettings, default_journal_dir
from ray_ingest.live import broker_settings_of
from ray_ingest.logs import settings_of
from ray_ingest.report import Report, report_of
from ray_ingest.schema import BrokersFeedConfig
from ray_ingest.store.opened import Store, open_store
from ray_ingest.store.scripts import script_texts
from ray_ingest.subscriptions import Changes, Subscriptions

__all__ = ["open_store", "plan_of", "run", "run_plan", "running_ray", "sources_of"]

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
POLL_S = 0.1
RAY_RESTARTS = 3
SILENT_S = 120  # an actor that restarts answers within seconds, also on a busy machine

Watcher = Callable[[Status], None]


def run(config: AppConfig, store: Store, stop: threading.Event, watch: Watcher) -> Report:
    """Run the configured feed into the store until it ends or `stop` is set; returns the totals.

    `watch` is shown the status several times a second. Raises RayIngestError subclasses; whatever happens,
    nothing that was started is left running. A Ray of our own that dies is started again, a few times.
    """
    story = Story(SUPERVISOR)
    with Runtime(config.ray) as runtime:
        if not runtime.local:
            _refuse_embedded_on_many_nodes(config)

        def check() -> None:
            runtime.check()
            store.ensure_alive()

        changes = Changes(config)
        plan = plan_of(config, store.url, runtime.namespace)
        while True:
            try:
                return run_plan(
                    plan, config.redis.give_up_s, stop, watch, check, story, changes.change, changes.last()
                )
            except RayLostError as error:
                if runtime.restarts == RAY_RESTARTS:
                    raise ActorError(
                        f"{error}, the {RAY_RESTARTS + 1}th time: the same command resumes"
                    ) from None
                log.warning("%s; Ray and the actors are started again", error)
                runtime.restart()


def run_plan(
    plan: Plan,
    give_up_s: float,
    stop: threading.Event,
    watch: Watcher,
    check: Callable[[], None] = lambda: None,
    story: Story | None = None,
    changes: Callable[[], Subscriptions | None] = lambda: None,
    changed: Subscriptions | None = None,
) -> Report:
    """`run` on a Ray that is up already, which stays up: all actors of the plan are gone afterwards.

    A supervisor that carries out this plan already is taken over if its driver is dead. `check` is called
    several times a second; what it raises ends the run. `story` goes on from an earlier plan's. `changes` is
    asked as often for what live feeds subscribe from now on, None as long as it is what it was; `changed` is
    what it said last on an earlier Ray, as the plan only knows what was subscribed at first.

    Raises ConfigError when another run is under way in the plan's namespace; StoreError when the store has
    been away for longer than `give_up_s`, and no feed is live: a live one goes on for ever, its ticks wait in
    the journal. KeyboardInterrupt ends the actors at once: the next run sends what isn't committed again.
    """
    driver = Driver(plan, check, story or Story(SUPERVISOR))
    try:
        driver.adopt()
        if changed is not None:
            driver.set_subscriptions(changed)
        _watch(driver, give_up_s, stop, watch, changes)
        status = driver.stop(watch)
        watch(status)
        _raise_failure(status)
        left = sum(feed.queued for feed in status.feeds)
        if left:
            raise StoreError(
                f"{left:,} ticks could not be committed before the end; the same command resumes"
            )
        if not status.over:
            raise StoreError("the store can't be asked whether it has everything; the same command resumes")
        return report_of(status)
    except RayLostError:
        driver.disown()  # they went with Ray
        raise
    finally:
        driver.end()


@contextmanager
def running_ray(config: AppConfig) -> Iterator[str]:
    """A Ray to run plans on, one after the other, and the namespace for our actors' names."""
    with Runtime(config.ray) as runtime:
        yield runtime.namespace


def plan_of(config: AppConfig, url: str, namespace: str) -> Plan:
    """What the supervisor starts for a configuration."""
    ingest, redis = config.ingest, config.redis
    scripts, log_settings = script_texts(), settings_of(config.log)
    breaker = BreakerSettings(
        redis.breaker_failures,
        redis.breaker_open_s,
        redis.breaker_longest_open_s,
        redis.breaker_successes,
    )
    owners = [
        OhlcSettings(
            partition=partition,
            partitions=ingest.partitions,
            url=url,
            prefix=redis.prefix,
            pool_size=redis.pool_size,
            timeout_s=redis.timeout_s,
            health_check_interval_s=redis.health_check_interval_s,
            lists_ttl_ms=int(redis.lists_ttl_h * HOUR_MS),
            history_days=redis.history_days,
            stream_ms=int(redis.stream_hours * HOUR_MS),
            flush_interval_s=ingest.flush_interval_ms / 1000,
            flush_duty=ingest.flush_duty,
            pending_ticks=ingest.pending_ticks,
            breaker=breaker,
            watermark=ingest.watermark,
            calendar=config.calendar,
            scripts=scripts,
            log=log_settings,
        )
        for partition in range(ingest.partitions)
    ]
    sender = SenderSettings(
        batch_ticks=ingest.batch_ticks,
        window_calls=ingest.window_calls,
        linger_s=ingest.linger_ms / 1000,
        heartbeat_s=max(ingest.flush_interval_ms, 1.0) / 1000,
    )
    sources, failover = sources_of(config), failover_of(config)
    feeds = [
        FeedSettings(
            name=name,
            make_source=make_source,
            speed=config.speed,
            partitions=ingest.partitions,
            buffer_ticks=ingest.buffer_ticks,
            block_ticks=ingest.block_ticks,
            future_ms=ingest.future_ms,
            filters=config.filter.settings,
            sender=sender,
            journal=journal_of(config),
            shared=failover.policy if failover else None,
            log=log_settings,
        )
        for name, make_source in sources.items()
    ]
    port, silent_s = config.metrics.port, config.ray.silent_s
    return Plan(owners, feeds, namespace, port, silent_s, failover, log_settings)


def journal_of(config: AppConfig) -> JournalSettings | None:
    """Where the configured feed keeps its ticks; None if it doesn't."""
    journal = config.journal
    if not config.keeps_ticks:
        return None
    return JournalSettings(
        folder=Path(journal.folder).expanduser().absolute() if journal.folder else default_journal_dir(),
        fsync=journal.fsync,
        segment_bytes=journal.segment_mb << 20,
        keep_days=journal.keep_days,
        keep_bytes=int(journal.keep_gb * (1 << 30)),
    )


def sources_of(config: AppConfig) -> dict[str, Callable[[], TickSource]]:
    """What makes the configured sources inside their feeds' own processes, by feed."""
    match feed := config.feed:
        case SimFeedConfig():
            return {feed.kind: functools.partial(SimSource, feed.settings, feed.forever)}
        case ReplayFeedConfig():
            path = Path(feed.path).expanduser().absolute()
            return {feed.kind: functools.partial(ReplaySource, path, feed.source, config.ingest.block_ticks)}
    settings = broker_settings_of(config)
    return {name: functools.partial(BrokerSource, broker) for name, broker in settings.items()}


def failover_of(config: AppConfig) -> FailoverPlan | None:
    """How several brokers stand in for one another."""
    feed = config.feed
    if not isinstance(feed, BrokersFeedConfig) or len(feed.order) == 1:
        return None
    times = FailoverSettings(feed.silence_ms, int(feed.failback_s * 1000))
    return FailoverPlan("arbitrate" if feed.policy == "arbitrate" else "failover", tuple(feed.order), times)


def _watch(
    driver: Driver,
    give_up_s: float,
    stop: threading.Event,
    watch: Watcher,
    changes: Callable[[], Subscriptions | None],
) -> None:
    """Follow the run to its end. Raises StoreError when the store stays away for too long."""
    while not stop.is_set():
        if (lists := changes()) is not None:
            driver.set_subscriptions(lists)
        status = driver.status()
        if status is not None:
            watch(status)
            if status.finished:
                return
            now_ms = epoch_ms()
            for name, since_ms in status.silent_since_ms.items():
                if now_ms - since_ms > SILENT_S * 1000:
                    raise ActorError(f"{name} has not answered for {SILENT_S} s")
            if not any(feed.live for feed in status.feeds):
                _give_up(status, give_up_s, now_ms)
        stop.wait(POLL_S)


def _give_up(status: Status, give_up_s: float, now_ms: int) -> None:
    for owner in status.owners:
        away_ms = now_ms - owner.trouble_since_ms if owner.trouble_since_ms else 0
        if away_ms > give_up_s * 1000:
            raise StoreError(f"gave up after {give_up_s:g} s: {owner.last_trouble}")


def _raise_failure(status: Status) -> None:
    for feed in status.feeds:
        if feed.state == "failed":
            error = RayIngestError(feed.error)
            error.exit_code = feed.exit_code
            raise error


def _refuse_embedded_on_many_nodes(config: AppConfig) -> None:
    nodes = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
    if config.redis.kind == "embedded" and nodes > 1:
        raise ConfigError(f"redis=embedded serves one machine, and this cluster has {nodes}: use redis=url")
