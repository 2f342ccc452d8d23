"""Replays of files through the whole system: feed and OHLC actors on Ray, Lua, store, read API."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl

from ray_ingest.actors.supervisor import Plan
from ray_ingest.candles import Candles
from ray_ingest.config import AppConfig, ReplayFeedConfig, compose
from ray_ingest.core.instruments import sanitise
from ray_ingest.pipeline import open_store, plan_of, run_plan
from ray_ingest.report import Report

EARLIEST, LATEST = "2021-01-01", "2026-12-31"
VALUES = ["open", "high", "low", "close", "volume"]


@dataclass(frozen=True)
class Replayed:
    """What a replay left behind: its report, and every candle of the store as `candles_of` gives it."""

    report: Report
    candles: pl.DataFrame

    def of(self, instrument: str) -> pl.DataFrame:
        """The candles of one instrument."""
        return self.candles.filter(instrument=instrument)


@dataclass(frozen=True)
class System:
    """A running Ray and a server with room for any number of replays, each under a prefix of its own."""

    url: str

    def replay(self, paths: Path | Sequence[Path], *overrides: str) -> Replayed:
        """Replay a file or folder, or several at once, each by a feed of its own: a producer of its own."""
        paths = [paths] if isinstance(paths, Path) else paths
        config = with_new_prefix(replay_config(self.url, paths[0], *overrides))
        with open_store(config) as store:
            plan = plan_with_feeds(config, store.url, paths)
            report = run_plan(plan, config.redis.give_up_s, threading.Event(), lambda status: None)
        candles = candles_of(self.url, config.redis.prefix)
        check_accounts(report, candles)
        return Replayed(report, candles)


def replay_config(url: str, path: Path, *overrides: str) -> AppConfig:
    """The product's configuration to replay `path` into the server at `url`."""
    store = ("redis=url", f"redis.url='{url}'")
    return compose(["feed=replay", f"feed.path='{path}'", *store, "metrics.port=null", *overrides])


def with_new_prefix(config: AppConfig) -> AppConfig:
    """The same under a prefix of its own: as good as an empty store."""
    return replace(config, redis=replace(config.redis, prefix=f"{uuid4().hex[:8]}:"))


def plan_with_feeds(config: AppConfig, url: str, paths: Sequence[Path]) -> Plan:
    """The plan of a configuration, in a namespace of its own, with one feed for each of `paths`."""
    plan = plan_of(config, url, f"test-{uuid4().hex[:8]}")
    feeds = []
    for number, path in enumerate(paths):
        (feed,) = plan_of(replace(config, feed=ReplayFeedConfig(path=str(path))), url, "").feeds
        feeds.append(replace(feed, name=f"{feed.name}-{number}" if len(paths) > 1 else feed.name))
    return replace(plan, feeds=feeds)


def candles_of(url: str, prefix: str) -> pl.DataFrame:
    """Every candle that the read API finds, ascending by instrument and minute: the name sanitised, the
    minute's start as `minute_ms` (epoch), and the columns of `history`."""
    with Candles(url, prefix=prefix) as candles:
        frames = [
            candles.history(name, EARLIEST, LATEST).select(
                pl.lit(sanitise(name)).alias("instrument"),
                pl.col("timestamp").dt.epoch("ms").alias("minute_ms"),
                pl.all(),
            )
            for name in candles.instruments()
        ]
    return pl.concat(frames).sort("instrument", "minute_ms") if frames else pl.DataFrame(schema=_NO_CANDLES)


def check_accounts(report: Report, candles: pl.DataFrame) -> None:
    """Every tick that came in is accounted for, and those that were applied are in a candle, each of which
    is closed, once."""
    others = report.ticks_repeated + report.ticks_already_committed + report.ticks_filtered
    rejected = sum(report.ticks_rejected.values())
    assert report.ticks_in == report.ticks_applied + others + rejected, report
    without_candle = sum(report.ticks_without_candle.values())
    assert candles["ticks"].sum() == report.ticks_applied - without_candle, report
    assert candles["final"].all()
    assert report.candles_closed == len(candles), report
    assert report.restarts == 0


def agreement(ours: pl.DataFrame, theirs: pl.DataFrame) -> dict[str, float]:
    """Share of the minutes of both in which a column is equal, for every one of `VALUES` in `theirs`; "ohlc"
    for all four prices at once, "minutes" for how many minutes were compared.

    Prices are equal when they are within a thousandth: sources print them with two decimals.
    """
    columns = [name for name in VALUES if name in theirs.columns]
    both = ours.join(theirs, on=["instrument", "minute_ms"], suffix="_theirs")
    equal = both.select((pl.col(n) - pl.col(f"{n}_theirs")).abs().lt(0.001).alias(n) for n in columns)
    equal = equal.with_columns(ohlc=pl.all_horizontal(VALUES[:4]))
    shares: dict[str, Any] = equal.mean().row(0, named=True)
    return {"minutes": len(both), **shares}


def shown(shares: dict[str, float]) -> str:
    """Agreement for people: "375 minutes, open 76.7 %, …"."""
    percents = ", ".join(f"{name} {share:.2%}" for name, share in shares.items() if name != "minutes")
    return f"{shares['minutes']:,} minutes: {percents}"


_NO_CANDLES = {"instrument": pl.String, "minute_ms": pl.Int64, "ticks": pl.UInt32, "final": pl.Boolean} | {
    name: pl.Int64 if name == "volume" else pl.Float64 for name in VALUES
}
