"""Runs on a Ray that is up already, with something happening to them while they go."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from uuid import uuid4

import msgspec
import psutil

from ray_ingest.actors.options import SUPERVISOR
from ray_ingest.actors.status import Status
from ray_ingest.config import AppConfig, SimFeedConfig, compose
from ray_ingest.pipeline import open_store, plan_of, run_plan
from ray_ingest.report import Report
from ray_ingest.verify import can_verify, verify
from tests.integration.run.processes import check_accounts
from tests.servers import Server

MARKET = ("feed.minutes=20", "feed.ticks_per_second=60", "feed.speed=300")
"""A session that lasts about seven seconds: long enough for something to happen in it."""


def market_config(server: Server, *overrides: str) -> AppConfig:
    """The simulated market into a server of the test's own."""
    given = (*MARKET, "redis=url", f"redis.url={server.url}", "metrics.port=null", *overrides)
    return compose(given)


def run_watched(config: AppConfig, watch: Callable[[Status], None]) -> Report:
    """Run to the end, `watch` seeing every status, in a namespace of its own; the accounts must add up."""
    with open_store(config) as store:
        plan = plan_of(config, store.url, f"test-{uuid4().hex[:8]}")
        report = run_plan(plan, config.redis.give_up_s, threading.Event(), watch)
    check_accounts(msgspec.to_builtins(report))
    return report


def assert_all_candles_right(config: AppConfig, server: Server) -> None:
    """N of N candles equal the oracle's, and there is none besides."""
    assert isinstance(config.feed, SimFeedConfig)
    assert can_verify(config, server.url) == ""
    verdict = verify(config.feed.settings, False, server.url, config.redis.prefix)
    assert (verdict.equal, verdict.extra) == (verdict.expected, 0), verdict.wrong
    assert verdict.expected > 1_000


def committed(status: Status) -> int:
    """Ticks of all feeds that are safe by now."""
    return sum(feed.committed for feed in status.feeds)


def pids_of(status: Status) -> dict[str, int]:
    """The process of every actor, by the actor's name."""
    pids = {owner.name: owner.pid for owner in status.owners}
    pids |= {f"feed[{feed.name}]": feed.pid for feed in status.feeds}
    return pids | {SUPERVISOR: status.pid}


def kill(pid: int) -> None:
    """End a process as the kernel's out-of-memory killer does, and see it gone."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([process], timeout=30)
