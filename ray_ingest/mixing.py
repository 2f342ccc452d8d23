"""Simulated ticks are nobody's candles: they stay out of stores of real ones, and the other way round."""

from __future__ import annotations

from contextlib import ExitStack

from ray_ingest.config import AppConfig, SimFeedConfig
from ray_ingest.errors import ConfigError, StoreError
from ray_ingest.journal.reader import JournalReader
from ray_ingest.store.embedded import EmbeddedServer
from ray_ingest.store.layout import producers_in
from ray_ingest.store.opened import data_dir_of


def check_store(config: AppConfig, url: str) -> None:
    """See that a simulation's ticks and real ones don't get into one another's candles in this store, which
    is open already. Raises ConfigError when they would, StoreError when the store doesn't say."""
    held = producers_in(url, config.redis.prefix)
    simulated = _simulated(held)
    embedded = config.redis.kind == "embedded"
    elsewhere = "another redis.data_dir" if embedded else "another redis.prefix"
    if isinstance(config.feed, SimFeedConfig):
        if others := held - simulated:
            name = min(others).rpartition("-")[0]
            raise ConfigError(f"the store holds ticks of {name}: keep a simulation out, choose {elsewhere}")
    elif simulated:
        empty = "redis.fresh=true, given once, empties it, or " if embedded and simulated == held else ""
        raise ConfigError(f"the store holds a simulation's ticks: {empty}choose {elsewhere}")


def check_rebuilding(config: AppConfig, url: str, journals: JournalReader) -> None:
    """See the same of journals that are about to be sent to an open store. Raises ConfigError, StoreError."""
    producers = {one.producer for one in journals.producers()} | producers_in(url, config.redis.prefix)
    simulated = _simulated(producers)
    if simulated and simulated != producers:
        raise ConfigError(
            f"simulated ticks ({min(simulated)}) and real ones ({min(producers - simulated)}) would mix: "
            "move the ones' journals to another folder, or choose another store"
        )


def check_what_is_emptied(config: AppConfig) -> None:
    """See that a simulation with redis.fresh=true doesn't empty a store of real ticks. Raises ConfigError."""
    redis = config.redis
    if redis.kind != "embedded" or not redis.fresh or not isinstance(config.feed, SimFeedConfig):
        return
    with ExitStack() as stack:
        try:
            server = EmbeddedServer.attach(data_dir_of(redis), create=False)
        except StoreError:  # there is none, or emptying it is what mends it
            return
        check_store(config, stack.enter_context(server).url)


def _simulated(producers: set[str]) -> set[str]:
    return {producer for producer in producers if producer.startswith(f"{SimFeedConfig.kind}-")}
