"""Journals made as a feed makes them, without Ray: a source, prepared, appended."""

from __future__ import annotations

from pathlib import Path

from ray_ingest.config import AppConfig, SimFeedConfig, compose
from ray_ingest.core.preparation import Preparation
from ray_ingest.feeds.sim_source import SimSource
from ray_ingest.feeds.source import TickSource
from ray_ingest.journal import Journal, JournalSettings

MARKET = ("feed.minutes=12", "feed.ticks_per_second=40")
PARTITIONS = 2


def market(*overrides: str) -> AppConfig:
    """The configuration of a small simulated session."""
    return compose([*MARKET, f"ingest.partitions={PARTITIONS}", "metrics.port=null", *overrides])


def simulated(config: AppConfig) -> SimSource:
    """The source of `market`."""
    assert isinstance(config.feed, SimFeedConfig)
    return SimSource(config.feed.settings, False)


def record(source: TickSource, config: AppConfig, folder: Path, **settings: int) -> str:
    """Journal all of the source; returns the producer."""
    ingest = config.ingest
    preparation = Preparation(source.table, config.filter.settings, PARTITIONS, ingest.future_ms)
    journal = Journal.open(JournalSettings(folder, "no", **settings), source.name, PARTITIONS, 1)
    for block in source.blocks(0):
        shares = preparation.prepare(block, 2**50)
        ids = journal.learn(source.table.entries)
        for partition, ticks in enumerate(shares):
            ticks["instrument"] = ids[ticks["instrument"]]
            journal.append(partition, ticks)
    journal.close()
    return journal.producer
