"""Configuration: a menu of YAML files at the edge, frozen dataclasses inside.

`compose` reads the menu and the command line's overrides and checks every key and type against the classes
below; anything unknown or mistyped is refused with its name before anything starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from ray_ingest.core.calendar import Calendar
from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.core.watermark import WatermarkSettings
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.sim_settings import SimSettings
from ray_ingest.model import TICK
from ray_ingest.resources import resource_dir

LARGEST_BATCH_BYTES = 100_000  # Ray copies larger arguments through its object store


@dataclass(frozen=True)
class IngestConfig:
    """Sizes, times and rates of the pipeline; conf/config.yaml says what each means."""

    partitions: int = 1
    buffer_ticks: int = 2_000_000
    block_ticks: int = 65_536
    batch_ticks: int = 2_000
    linger_ms: float = 2.0
    window_calls: int = 16
    flush_interval_ms: float = 5.0
    flush_duty: float = 0.25
    pending_ticks: int = 400_000
    future_ms: int = 60_000
    lateness_ms: int = 2_000
    silence_ms: int = 10_000
    grace_ms: int = 2_000

    @property
    def watermark(self) -> WatermarkSettings:
        """The part that the watermark needs."""
        return WatermarkSettings(self.lateness_ms, self.silence_ms, self.grace_ms)


@dataclass(frozen=True)
class SimFeedConfig:
    """`feed=sim`."""

    kind: str = "sim"
    seed: int = 7
    date: int = 20261120
    indices: int = 5
    equities: int = 60
    futures: int = 35
    options: int = 100
    minutes: int = 30
    ticks_per_second: float = 400.0
    late_share: float = 0.01
    repeat_share: float = 0.05
    stale_share: float = 0.01
    zipf_exponent: float = 0.8
    speed: str = "max"
    forever: bool = False

    @property
    def settings(self) -> SimSettings:
        """What the simulated exchange is asked for. Raises ConfigError."""
        return SimSettings(**{name: getattr(self, name) for name in SimSettings.__slots__})


@dataclass(frozen=True)
class ReplayFeedConfig:
    """`feed=replay`."""

    kind: str = "replay"
    path: str = MISSING
    speed: str = "max"
    source: str = "replay"


@dataclass(frozen=True)
class RedisConfig:
    """`redis=embedded` or `redis=url`."""

    kind: str = "embedded"
    url: str | None = None
    data_dir: str | None = None
    fresh: bool = False
    prefix: str = ""
    appendfsync: str = "everysec"
    pool_size: int = 20
    timeout_s: float = 5.0
    health_check_interval_s: int = 30
    give_up_s: float = 30.0
    lists_ttl_h: float = 24.0
    history_days: int = 30
    stream_hours: float = 48.0


@dataclass(frozen=True)
class RayConfig:
    """`ray=local` or `ray=cluster`."""

    kind: str = "local"
    dashboard: bool = True
    dashboard_port: int = 8265
    address: str = "auto"
    namespace: str = "ray_ingest"


@dataclass(frozen=True)
class FilterConfig:
    """`filter`."""

    sample_every: int = 1
    min_price_change_percent: float = 0.0
    allow_exchanges: list[str] = field(default_factory=list)
    deny_exchanges: list[str] = field(default_factory=list)
    allow_instruments: list[str] = field(default_factory=list)
    deny_instruments: list[str] = field(default_factory=list)

    @property
    def settings(self) -> FilterSettings:
        """As the core takes them."""
        return FilterSettings(
            self.sample_every,
            self.min_price_change_percent,
            tuple(self.allow_exchanges),
            tuple(self.deny_exchanges),
            tuple(self.allow_instruments),
            tuple(self.deny_instruments),
        )


@dataclass(frozen=True)
class AlertsConfig:
    """`alerts`."""

    kind: str = "none"


@dataclass(frozen=True)
class MetricsConfig:
    """`metrics`."""

    port: int | None = 9464


@dataclass(frozen=True)
class LogConfig:
    """`log`."""

    level: str = "warning"


@dataclass(frozen=True)
class AppConfig:
    """Everything the program can be told."""

    report: str | None
    feed: SimFeedConfig | ReplayFeedConfig
    redis: RedisConfig
    ray: RayConfig
    filter: FilterConfig
    alerts: AlertsConfig
    ingest: IngestConfig
    metrics: MetricsConfig
    log: LogConfig
    calendar: dict[str, Any]

    @property
    def speed(self) -> float | None:
        """Times real time; None is as fast as possible."""
        return None if self.feed.speed == "max" else float(self.feed.speed)


_SECTIONS = {
    "redis": RedisConfig,
    "ray": RayConfig,
    "filter": FilterConfig,
    "alerts": AlertsConfig,
    "ingest": IngestConfig,
    "metrics": MetricsConfig,
    "log": LogConfig,
}
_FEEDS: dict[str, type[SimFeedConfig | ReplayFeedConfig]] = {"sim": SimFeedConfig, "replay": ReplayFeedConfig}


def compose(overrides: Sequence[str]) -> AppConfig:
    """The configuration for the command line's overrides. Raises ConfigError, one line, naming the key."""
    raw = _composed(overrides)
    report = raw.get("report")
    if report is not None and not isinstance(report, str):
        raise ConfigError(f"report={report}: must be a file's name")
    kind = raw.feed.get("kind")
    if kind not in _FEEDS:
        raise ConfigError(f"feed.kind={kind}: must be one of {', '.join(_FEEDS)}")
    config = AppConfig(
        report=report,
        feed=_section("feed", _FEEDS[kind], raw.feed),
        calendar=OmegaConf.to_container(raw.calendar, resolve=True),  # type: ignore[arg-type]
        **{name: _section(name, schema, raw[name]) for name, schema in _SECTIONS.items()},
    )
    _check(config)
    return config


def calendar_of(config: AppConfig) -> Calendar:
    """The configured calendar. Raises ConfigError naming the key that is wrong."""
    return Calendar(CalendarTable.from_mapping(config.calendar))


def _composed(overrides: Sequence[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(resource_dir("conf")), version_base="1.3"):
            return hydra_compose("config", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_one_line(error)) from None


def _section(name: str, schema: type[Any], raw: DictConfig) -> Any:
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), raw))
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        if isinstance(error, MissingMandatoryValue):
            raise ConfigError(f"{name}.{key}: must be given") from None
        raise ConfigError(f"{name}.{key}: {str(error).splitlines()[0]}") from None


def _one_line(error: Exception) -> str:
    """What Hydra says over several lines, as one; its hint to prepend a plus is no help here."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [
        line
        for line in lines
        if not line.startswith(("To append", "Set the environment", "full_key", "object_type"))
    ]
    return " ".join(kept)


def _check(config: AppConfig) -> None:
    ingest, redis = config.ingest, config.redis
    for name in ("partitions", "buffer_ticks", "block_ticks", "batch_ticks", "window_calls", "pending_ticks"):
        _require(getattr(ingest, name) >= 1, f"ingest.{name}", getattr(ingest, name), "at least 1")
    for name in ("linger_ms", "flush_interval_ms", "future_ms", "lateness_ms", "silence_ms", "grace_ms"):
        _require(getattr(ingest, name) >= 0, f"ingest.{name}", getattr(ingest, name), "at least 0")
    largest = LARGEST_BATCH_BYTES // TICK.itemsize
    _require(ingest.batch_ticks <= largest, "ingest.batch_ticks", ingest.batch_ticks, f"at most {largest}")
    _require(0 < ingest.flush_duty <= 1, "ingest.flush_duty", ingest.flush_duty, "above 0, at most 1")
    for name in ("pool_size", "history_days", "health_check_interval_s"):
        _require(getattr(redis, name) >= 1, f"redis.{name}", getattr(redis, name), "at least 1")
    for name in ("timeout_s", "lists_ttl_h", "stream_hours", "give_up_s"):
        _require(getattr(redis, name) > 0, f"redis.{name}", getattr(redis, name), "above 0")
    _require(redis.kind in ("embedded", "url"), "redis.kind", redis.kind, "embedded or url")
    _require(redis.kind == "embedded" or redis.url, "redis.url", redis.url, "given with redis=url")
    _require(
        redis.appendfsync in ("always", "everysec", "no"),
        "redis.appendfsync",
        redis.appendfsync,
        "always, everysec or no",
    )
    _require(config.ray.kind in ("local", "cluster"), "ray.kind", config.ray.kind, "local or cluster")
    levels = ("debug", "info", "warning", "error")
    _require(config.log.level in levels, "log.level", config.log.level, f"one of {', '.join(levels)}")
    port = config.metrics.port
    _require(port is None or 0 <= port < 65536, "metrics.port", port, "a port, 0 or null")
    thin = config.filter
    _require(thin.sample_every >= 1, "filter.sample_every", thin.sample_every, "at least 1")
    _require(
        0 <= thin.min_price_change_percent < 100,
        "filter.min_price_change_percent",
        thin.min_price_change_percent,
        "at least 0, below 100",
    )
    speed = config.feed.speed
    try:
        good = speed == "max" or 0 < float(speed) < float("inf")
    except ValueError:
        good = False
    _require(good, "feed.speed", speed, "max or a number above 0")
    if isinstance(config.feed, SimFeedConfig):
        _ = config.feed.settings
    _ = calendar_of(config)


def _require(good: object, key: str, value: object, rule: str) -> None:
    if not good:
        raise ConfigError(f"{key}={value}: must be {rule}")
