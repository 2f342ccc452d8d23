"""The product under test: configured for a scenario, with its feeds sending the scenario's tapes."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from ray_ingest.actors.supervisor import Plan, Status
from ray_ingest.config import AppConfig, compose
from ray_ingest.pipeline import plan_of
from tests.chaos.oracle import feed_name
from tests.chaos.scenario import Scenario
from tests.chaos.source import MakeSource

SILENT_S = 1.5
ENDING = "ending"


def config_of(scenario: Scenario, folder: Path, url: str) -> AppConfig:
    """The configuration a user would write; the journal is in `folder`."""
    overrides = [
        "redis=url",
        f"redis.url={url}",
        "redis.timeout_s=1",
        f"calendar={scenario.calendar}",
        f"ingest.partitions={scenario.partitions}",
        "metrics.port=null",
        "ray.dashboard=false",
        f"ray.silent_s={SILENT_S}",
        f"journal.ticks={'all' if scenario.journaled else 'none'}",
        f"journal.folder={folder / 'journal'}",
        f"journal.fsync={scenario.appendfsync}",
    ]
    return compose(overrides)


def plan_for(
    scenario: Scenario, config: AppConfig, folder: Path, namespace: str, rewinds: bool = True
) -> Plan:
    """What the supervisor starts: the configured owners, and a feed for each producer."""
    plan = plan_of(config, str(config.redis.url), namespace)
    (feed,) = plan.feeds
    traps = [fault for fault in scenario.faults if fault.kind == "feed_kill_after_journal"]
    feeds = []
    for producer in range(scenario.producers):
        trapped = [fault.at_s for fault in traps if int(fault.choice * scenario.producers) == producer]
        make = MakeSource(scenario, producer, folder, trapped[0] if trapped else None, rewinds)
        feeds.append(replace(feed, name=feed_name(producer), make_source=make, speed=None))
    return replace(plan, feeds=feeds)


def note_ending(folder: Path, status: Status) -> None:
    """Keep in `folder` since when (monotonic s) the run is ending: its feeds have sent everything, it is
    committed, and the store is looked at for the last time."""
    ending = folder / ENDING
    if not status.finished:
        ending.unlink(missing_ok=True)
    elif not ending.exists():
        fresh = folder / f"{ENDING}.{os.getpid()}"
        fresh.write_text(repr(time.monotonic()))
        fresh.replace(ending)


def pids_of(status: Status) -> dict[str, list[int]]:
    """Process ids of the feeds and owners."""
    return {"feed": [feed.pid for feed in status.feeds], "ohlc": [owner.pid for owner in status.owners]}
