"""Read this first: how one run goes, from an open store to a report.

    feed actors ──ticks──► OHLC actors ──one Lua call──► store ──► Candles API, redis-cli, notebooks
         ▲────committed offset────┘         supervisor: starts, watches, ends them

`open_store` finds or starts the store; `run` brings up Ray, has the supervisor start the actors, watches
until the feeds have ended or somebody asks to stop, and takes everything down in order.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import ray
from ray.exceptions import RayError

from ray_ingest.actors.feed import FeedSettings
from ray_ingest.actors.ohlc import OhlcSettings
from ray_ingest.actors.options import start_supervisor
from ray_ingest.actors.sender import SenderSettings
from ray_ingest.actors.supervisor import Plan, Status, Supervisor
from ray_ingest.config import AppConfig, SimFeedConfig
from ray_ingest.errors import ActorError, ConfigError, RayIngestError, StoreError
from ray_ingest.feeds.source import ReplaySource, SimSource, TickSource
from ray_ingest.ports import LOOPBACK, next_free_port
from ray_ingest.report import Report, report_of
from ray_ingest.store.embedded import EmbeddedServer, default_data_dir
from ray_ingest.store.keys import Keys
from ray_ingest.store.layout import ensure_partitions
from ray_ingest.store.redis import check_server, connect, with_password
from ray_ingest.store.scripts import script_texts

HOUR_MS = 3_600_000
POLL_S = 0.1
STOP_TIMEOUT_S = 60.0
SILENT_S = 120  # an actor that restarts answers within seconds, also on a busy machine

Watcher = Callable[[Status], None]


def run(config: AppConfig, url: str, stop: threading.Event, watch: Watcher) -> Report:
    """Run the configured feed into the store at `url` until it ends or `stop` is set; returns the totals.

    `watch` is shown the status several times a second. Raises RayIngestError subclasses; whatever happens,
    nothing that was started is left running.
    """
    with running_ray(config) as namespace:
        return run_plan(plan_of(config, url, namespace), config.redis.give_up_s, stop, watch)


def run_plan(plan: Plan, give_up_s: float, stop: threading.Event, watch: Watcher) -> Report:
    """`run` on a Ray that is up already, which stays up: all actors of the plan are gone afterwards.

    Raises StoreError when the store has been away for longer than `give_up_s`. KeyboardInterrupt ends the
    actors at once: what isn't committed is sent again by the next run.
    """
    supervisor = start_supervisor(Supervisor, plan, plan.namespace)
    try:
        status = _watch(supervisor, give_up_s, stop, watch)
        _raise_failure(status)
        status = _decoded(supervisor.stop.remote(True))
        watch(status)
        _raise_failure(status)
        left = sum(feed.queued for feed in status.feeds)
        if left:
            raise StoreError(
                f"{left:,} ticks could not be committed before the end; the same command resumes"
            )
        with suppress(RayError):  # its figures are final: whatever is left of it is killed
            ray.get(supervisor.end_actors.remote(), timeout=STOP_TIMEOUT_S)
        return report_of(status)
    finally:
        ray.kill(supervisor)  # and with their owner all actors it started


@contextmanager
def open_store(config: AppConfig) -> Iterator[str]:
    """The URL of a store that is fit for candles and cut into the configured number of partitions."""
    redis = config.redis
    with ExitStack() as stack:
        if redis.kind == "embedded":
            data_dir = Path(redis.data_dir).expanduser() if redis.data_dir else default_data_dir()
            server = EmbeddedServer.attach(
                data_dir, driver=True, fresh=redis.fresh, appendfsync=redis.appendfsync
            )
            url = stack.enter_context(server).url
        else:
            url = with_password(str(redis.url), os.environ)
        client = connect(url, pool_size=redis.pool_size, timeout_s=redis.timeout_s)
        stack.callback(client.close)
        check_server(client)
        ensure_partitions(client, Keys(redis.prefix), config.ingest.partitions)
        yield url


@contextmanager
def running_ray(config: AppConfig) -> Iterator[str]:
    """A Ray to run on, and the namespace for our actors' names: our own, or the cluster's."""
    on_sigterm = signal.getsignal(signal.SIGTERM)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": True}
    if config.ray.kind == "local":
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        namespace = f"ray_ingest-{uuid4().hex[:8]}"
        try:
            ray.init(
                address="local",
                namespace=namespace,
                num_cpus=2,
                include_dashboard=config.ray.dashboard,
                dashboard_host=LOOPBACK,
                dashboard_port=next_free_port(config.ray.dashboard_port),  # Ray itself would give up
                **quiet,
            )
        except Exception as error:  # bare ones, such as after 30 s on a machine with too much else to do
            reason = " ".join(str(error).split())
            raise ActorError(f"Ray doesn't start on this machine: {reason}") from None
    else:
        namespace = config.ray.namespace
        try:
            ray.init(address=config.ray.address, namespace=namespace, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"ray.address={config.ray.address}: no Ray cluster answers there; `ray up cluster.yaml` "
                f"starts one ({str(error).splitlines()[0]})"
            ) from None
    try:
        if config.ray.kind == "cluster":
            _refuse_embedded_on_many_nodes(config)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # ray.init put its own there, which drains nothing
        yield namespace
    finally:
        ray.shutdown()


def plan_of(config: AppConfig, url: str, namespace: str) -> Plan:
    """What the supervisor starts for a configuration."""
    ingest, redis = config.ingest, config.redis
    scripts = script_texts()
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
            watermark=ingest.watermark,
            calendar=config.calendar,
            scripts=scripts,
        )
        for partition in range(ingest.partitions)
    ]
    sender = SenderSettings(
        batch_ticks=ingest.batch_ticks,
        window_calls=ingest.window_calls,
        linger_s=ingest.linger_ms / 1000,
        heartbeat_s=max(ingest.flush_interval_ms, 1.0) / 1000,
    )
    feed = FeedSettings(
        name=config.feed.kind,
        make_source=source_of(config),
        speed=config.speed,
        partitions=ingest.partitions,
        buffer_ticks=ingest.buffer_ticks,
        block_ticks=ingest.block_ticks,
        future_ms=ingest.future_ms,
        filters=config.filter.settings,
        sender=sender,
    )
    return Plan(owners, [feed], namespace, config.metrics.port)


def source_of(config: AppConfig) -> Callable[[], TickSource]:
    """What makes the configured source inside the feed's own process."""
    if isinstance(config.feed, SimFeedConfig):
        return functools.partial(SimSource, config.feed.settings, config.feed.forever)
    path = Path(config.feed.path).expanduser().absolute()
    return functools.partial(ReplaySource, path, config.feed.source, config.ingest.block_ticks)


def _watch(supervisor: Any, give_up_s: float, stop: threading.Event, watch: Watcher) -> Status:
    """Follow the run to its end. Raises StoreError when the store stays away for too long."""
    while True:
        status = _decoded(supervisor.status.remote())
        watch(status)
        if status.finished or stop.is_set():
            return status
        now_ms = time.time_ns() // 1_000_000
        for name, since_ms in status.silent_since_ms.items():
            if now_ms - since_ms > SILENT_S * 1000:
                raise ActorError(f"{name} has not answered for {SILENT_S} s")
        for owner in status.owners:
            away_ms = now_ms - owner.trouble_since_ms if owner.trouble_since_ms else 0
            if away_ms > give_up_s * 1000:
                raise StoreError(f"gave up after {give_up_s:g} s: {owner.last_trouble}")
        stop.wait(POLL_S)


def _decoded(call: Any) -> Status:
    try:
        return msgspec.msgpack.decode(ray.get(call, timeout=STOP_TIMEOUT_S), type=Status)
    except RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, RayIngestError):
            raise cause from None
        raise ActorError(f"the supervisor failed: {str(error).splitlines()[-1]}") from None


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
