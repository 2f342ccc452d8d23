"""Limits of the settings' values, and which of them exclude each other."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from ray_ingest.core.calendar import Calendar
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.errors import ConfigError
from ray_ingest.model import TICK
from ray_ingest.schema import AlertsConfig, AppConfig, BrokersFeedConfig, ReplayFeedConfig, SimFeedConfig

LARGEST_BATCH_BYTES = 100_000  # Ray copies larger arguments through its object store
LARGEST_BATCH_TICKS = LARGEST_BATCH_BYTES // TICK.itemsize
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "text", "json")
JOURNALED = ("live", "all", "none")
POLICIES = ("failover", "arbitrate")
APPENDFSYNC = ("always", "everysec", "no")

ALERTS = ("none", "email", "telegram", "slack", "webhook")
SMTP_SECURITY = ("starttls", "ssl", "none")

_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")
_CHAT = re.compile(r"-?\d+|@\w+")


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
    _require(config.log.format in LOG_FORMATS, "log.format", config.log.format, _one_of(LOG_FORMATS))
    _between(0.001, 10_000, "log", config.log, "file_mb")
    _require(port is None or 0 <= port < 65536, "metrics.port", port, "a port, 0 or null")
    _require(thin.sample_every >= 1, "filter.sample_every", thin.sample_every, "at least 1")
    percent = thin.min_price_change_percent
    _require(0 <= percent < 100, "filter.min_price_change_percent", percent, "at least 0, below 100")
    _check_feed(config)
    _check_brokers(config)
    _check_alerts(config.alerts)
    _check_homes(config)
    _ = Calendar(CalendarTable.from_mapping(config.calendar))  # so does this


def _check_feed(config: AppConfig) -> None:
    match feed := config.feed:
        case SimFeedConfig() | ReplayFeedConfig():
            _require(_is_speed(feed.speed), "feed.speed", feed.speed, "max or a number above 0")
            if isinstance(feed, SimFeedConfig):
                _ = feed.settings  # checks itself
        case BrokersFeedConfig():
            known = len(feed.order) == len(set(feed.order)) > 0 and set(feed.order) <= set(config.brokers)
            names = ",".join(feed.order)
            _require(known, "feed.order", f"[{names}]", f"different ones of {', '.join(config.brokers)}")
            _require(feed.policy in POLICIES, "feed.policy", feed.policy, _one_of(POLICIES))
            _between(100, 60_000, "feed", feed, "silence_ms")
            _between(0, 86_400, "feed", feed, "failback_s")


def _check_brokers(config: AppConfig) -> None:
    for name, broker in config.brokers.items():
        section, url = f"brokers.{name}", broker.url
        _require(url is None or _is_socket_url(url), f"{section}.url", url, "ws://… or wss://…")
        for limit, most in (("connections", 100), ("instruments_per_connection", 100_000)):
            if getattr(broker, limit) is not None:
                _between(1, most, section, broker, limit)
    session = config.session
    _between(
        0.5, 3_600, "session", session, "stall_s", "ping_s", "connect_s", "longest_wait_s", "token_retry_s"
    )
    _between(0.001, 10_000, "session", session, "frames_gb")
    if config.live_brokers:
        _require(
            config.instruments or config.instruments_file,
            "instruments",
            "[]",
            "given with a live feed, as in instruments=[NSE_INDEX|Nifty 50], or instruments_file=FILE",
        )


def _check_homes(config: AppConfig) -> None:
    """A path may begin with ~ or ~user."""
    feed = config.feed
    paths = {
        "report": config.report,
        "instruments_file": config.instruments_file,
        "feed.path": feed.path if isinstance(feed, ReplayFeedConfig) else None,
        "redis.data_dir": config.redis.data_dir,
        "journal.folder": config.journal.folder,
        "log.file": config.log.file,
        "alerts.secret_file": config.alerts.secret_file,
        **{f"brokers.{name}.token_file": broker.token_file for name, broker in config.brokers.items()},
    }
    for key, path in paths.items():
        try:
            _ = Path(path or "").expanduser()
        except RuntimeError:
            _require(False, key, path, "a path, and there is no such user")


def _check_alerts(alerts: AlertsConfig) -> None:
    kind = alerts.kind
    _require(kind in ALERTS, "alerts.kind", kind, _one_of(ALERTS))
    if kind == "email":
        _require(alerts.host, "alerts.host", alerts.host, "given with alerts=email, as in smtp.gmail.com")
        _require(0 < alerts.port < 65536, "alerts.port", alerts.port, "a port")
        _require(alerts.security in SMTP_SECURITY, "alerts.security", alerts.security, _one_of(SMTP_SECURITY))
        safe = alerts.security != "none" or alerts.user is None
        _require(safe, "alerts.security", "none", "starttls or ssl where there is an alerts.user to log in")
        sender = _are_addresses([alerts.sender or ""])
        _require(sender, "alerts.sender", alerts.sender, "an address, as in you@example.com")
        good = alerts.to and _are_addresses(alerts.to)
        _require(good, "alerts.to", _listed(alerts.to), "addresses, as in [you@example.com]")
    if kind == "telegram":
        good = alerts.to and all(_CHAT.fullmatch(chat) for chat in alerts.to)
        _require(good, "alerts.to", _listed(alerts.to), "ids of chats, as in ['-1001234567890'], or @channel")
    _between(0, 60, "alerts", alerts, "hold_s")
    _between(0, 3_600, "alerts", alerts, "calm_s")
    _between(0.01, 10_080, "alerts", alerts, "repeat_min")
    _between(2, 3_600, "alerts", alerts, "max_per_hour")


def _are_addresses(texts: list[str]) -> bool:
    return all(_ADDRESS.fullmatch(text) for text in texts)


def _listed(texts: list[str]) -> str:
    return f"[{','.join(texts)}]"


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


def _is_socket_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for one that is none
    except ValueError:
        return False
    return parts.scheme in ("ws", "wss") and bool(parts.hostname)


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
