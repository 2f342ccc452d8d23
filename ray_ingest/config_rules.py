"""Limits of the settings' values, and which of them exclude each other."""

from __future__ import annotations

import math
from collections.abc import Collection

from ray_ingest.core.calendar import Calendar
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.errors import ConfigError
from ray_ingest.model import TICK
from ray_ingest.schema import AppConfig, SimFeedConfig

LARGEST_BATCH_BYTES = 100_000  # Ray copies larger arguments through its object store
LARGEST_BATCH_TICKS = LARGEST_BATCH_BYTES // TICK.itemsize
LOG_LEVELS = ("debug", "info", "warning", "error")
JOURNALED = ("live", "all", "none")
APPENDFSYNC = ("always", "everysec", "no")


def check(config: AppConfig) -> None:
    """Raise ConfigError, naming the key and what it must be, for the first value that can't be used."""
    _check_ingest(config)
    _check_redis(config)
    _check_journal(config)
    ray, thin, port = config.ray, config.filter, config.metrics.port
    _require(ray.kind in ("local", "cluster"), "ray.kind", ray.kind, "local or cluster")
    _require(0 < ray.dashboard_port < 65536, "ray.dashboard_port", ray.dashboard_port, "a port")
    _between(1, 3_600, "ray", ray, "silent_s")
    _require(config.log.level in LOG_LEVELS, "log.level", config.log.level, _one_of(LOG_LEVELS))
    _require(port is None or 0 <= port < 65536, "metrics.port", port, "a port, 0 or null")
    _require(thin.sample_every >= 1, "filter.sample_every", thin.sample_every, "at least 1")
    percent = thin.min_price_change_percent
    _require(0 <= percent < 100, "filter.min_price_change_percent", percent, "at least 0, below 100")
    _require(_is_speed(config.feed.speed), "feed.speed", config.feed.speed, "max or a number above 0")
    if isinstance(config.feed, SimFeedConfig):
        _ = config.feed.settings  # checks itself
    _ = Calendar(CalendarTable.from_mapping(config.calendar))  # so does this


def _check_ingest(config: AppConfig) -> None:
    ingest = config.ingest
    _between(1, 256, "ingest", ingest, "partitions")  # each is a process
    _between(1, 10**9, "ingest", ingest, "buffer_ticks", "pending_ticks")
    _between(1, 10**7, "ingest", ingest, "block_ticks")
    _between(1, LARGEST_BATCH_TICKS, "ingest", ingest, "batch_ticks")
    _between(1, 10_000, "ingest", ingest, "window_calls")
    _between(0, 60_000, "ingest", ingest, "linger_ms", "flush_interval_ms")
    _between(0, 10**12, "ingest", ingest, "future_ms", "lateness_ms", "silence_ms", "grace_ms")
    _require(0 < ingest.flush_duty <= 1, "ingest.flush_duty", ingest.flush_duty, "above 0, at most 1")


def _check_redis(config: AppConfig) -> None:
    redis = config.redis
    _between(1, 10_000, "redis", redis, "pool_size")
    _between(1, 86_400, "redis", redis, "health_check_interval_s")
    _between(1, 36_500, "redis", redis, "history_days")
    _between(0.01, 3_600, "redis", redis, "timeout_s")
    _between(0.001, 876_000, "redis", redis, "lists_ttl_h", "stream_hours")
    _between(1, 1_000, "redis", redis, "breaker_failures", "breaker_successes")
    _between(0.001, 3_600, "redis", redis, "breaker_open_s", "breaker_longest_open_s")
    _require(redis.give_up_s > 0, "redis.give_up_s", redis.give_up_s, "above 0")
    _require(redis.kind in ("embedded", "url"), "redis.kind", redis.kind, "embedded or url")
    _require(redis.kind == "embedded" or redis.url, "redis.url", redis.url, "given with redis=url")
    _require(redis.appendfsync in APPENDFSYNC, "redis.appendfsync", redis.appendfsync, _one_of(APPENDFSYNC))


def _check_journal(config: AppConfig) -> None:
    journal = config.journal
    _require(journal.ticks in JOURNALED, "journal.ticks", journal.ticks, _one_of(JOURNALED))
    _require(journal.fsync in APPENDFSYNC, "journal.fsync", journal.fsync, _one_of(APPENDFSYNC))
    _between(1, 10_000, "journal", journal, "segment_mb")
    _between(1, 36_500, "journal", journal, "keep_days")
    _between(0.001, 1_000_000, "journal", journal, "keep_gb")


def _is_speed(text: str) -> bool:
    try:
        return text == "max" or 0 < float(text) < math.inf
    except ValueError:
        return False


def _require(good: object, key: str, value: object, rule: str) -> None:
    if not good:
        raise ConfigError(f"{key}={value}: must be {rule}")


def _between(least: float, most: float, section: str, settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        _require(least <= value <= most, f"{section}.{name}", value, f"from {least:,} to {most:,}")


def _one_of(words: Collection[str]) -> str:
    return f"one of {', '.join(words)}"
