"""A long run at speed: `python -m tests.chaos.soak [--ticks 100_000_000] [--hours 24] [--instruments 200]`.

Simulated market hours go through the whole system as fast as it takes them, while the memory and the file
descriptors of every process are sampled. Passes when both are flat in the last half, every candle is right,
and no process is left behind. The store itself grows by the candles it is told to keep, and by no more.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from ray_ingest.actors.supervisor import Status
from ray_ingest.candles import Candles
from ray_ingest.config import AppConfig, compose
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.feeds.source import digest
from ray_ingest.model import NULL, TickColumns
from ray_ingest.pipeline import open_store, plan_of, run_plan, running_ray
from tests.chaos.census import Census
from tests.chaos.soak_market import Hours

GONE_S = 30.0


class SoakSource:
    """The market's ticks, minute by minute, as fast as they are taken."""

    name = "sim"
    live = False
    paced_by = "event_time_ms"

    def __init__(self, hours: Hours) -> None:
        self.identity = digest("soak", hours)
        self.table = InstrumentTable()
        for exchange, token in hours.names:
            self.table.intern(exchange, token, self.name)
        self._hours = hours

    def blocks(self, start_ms: int) -> Iterator[TickColumns]:
        """A block a minute."""
        for minute in range(self._hours.minutes):
            sent = self._hours.minute(minute)
            nothing = np.full(len(sent.price), NULL)
            yield TickColumns(
                sent.instrument.astype(np.uint32),
                sent.time_ms,
                sent.price,
                nothing,
                sent.volume,
                nothing,
                sent.time_ms,
            )


def soak(hours: Hours, folder: Path, interval_s: float) -> list[str]:
    """What is wrong after the hours have gone through; nothing if all is well."""
    config = compose(
        [
            f"redis.data_dir={folder / 'store'}",
            "calendar=continuous",
            "ray.dashboard=false",
            "metrics.port=null",
        ]
    )
    census = Census(folder / "store", interval_s)
    try:
        with open_store(config) as store, running_ray(config) as namespace:
            url = store.url
            began_s = time.monotonic()
            _run(hours, config, url, namespace)
            took_s = time.monotonic() - began_s
            census.stop()
            print(
                f"{hours.ticks:,} ticks in {took_s:.0f} s: {hours.ticks / took_s:,.0f} a second", flush=True
            )
            with Candles(url) as candles:
                wrong = hours.wrong_candles(candles)
    finally:
        census.stop()
    return wrong + census.judge(hours.candles) + census.left_behind(GONE_S)


def _run(hours: Hours, config: AppConfig, url: str, namespace: str) -> None:
    plan = plan_of(config, url, namespace)
    feed = replace(plan.feeds[0], name="soak", make_source=functools.partial(SoakSource, hours), speed=None)
    told_s = [time.monotonic()]

    def watch(status: Status) -> None:
        if time.monotonic() - told_s[0] > 30:
            told_s[0] = time.monotonic()
            done = sum(feed.committed for feed in status.feeds)
            print(f"  {done:,} of {hours.ticks:,} ticks committed", flush=True)

    run_plan(replace(plan, feeds=[feed]), config.redis.give_up_s, threading.Event(), watch)


def main(arguments: list[str]) -> int:
    """Soak and tell; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--ticks", type=int, default=100_000_000)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--instruments", type=int, default=200)
    parser.add_argument("--interval-s", type=float, default=2.0, help="seconds between samples")
    options = parser.parse_args(arguments)
    hours = Hours(options.hours * 60, options.ticks // (options.hours * 60), options.instruments)
    with tempfile.TemporaryDirectory(prefix="ri-soak-") as folder:
        wrong = soak(hours, Path(folder), options.interval_s)
    console = Console()
    for line in wrong:
        console.print(line)
    console.print("soak: all well" if not wrong else f"soak: {len(wrong)} things are wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
