"""What the program can be told: a frozen dataclass for each group of `conf/`, and `AppConfig` for all.

Defaults are those of the group's files, whose comments say what each setting means; a test keeps both alike.
Limits of values are in `config_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ray_ingest.core.filters import FilterSettings
from ray_ingest.core.watermark import WatermarkSettings
from ray_ingest.feeds.sim_settings import SimSettings

REQUIRED: Any = "???"
"""A setting without a default, as the files of `conf/` write it."""


@dataclass(frozen=True)
class TopConfig:
    """The settings that are in no group."""

    report: str | None = None
    instruments: list[str] = field(default_factory=list)
    instruments_file: str | None = None


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
    pending_ticks: int = 1_000_000
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
    path: str = REQUIRED
    speed: str = "max"
    source: str = "replay"


@dataclass(frozen=True)
class BrokerFeedConfig:
    """`feed=upstox`, `feed=fyers` or `feed=dhan`: one broker, live."""

    kind: str = REQUIRED


@dataclass(frozen=True)
class BrokersFeedConfig:
    """`feed=brokers`: several brokers, live, one standing in for the other."""

    kind: str = "brokers"
    order: list[str] = field(default_factory=lambda: ["upstox", "fyers", "dhan"])
    policy: str = "failover"
    silence_ms: int = 1_500
    failback_s: float = 30.0


FeedConfig = SimFeedConfig | ReplayFeedConfig | BrokerFeedConfig | BrokersFeedConfig


@dataclass(frozen=True)
class BrokerConfig:
    """`brokers.<name>`: None is the broker's own."""

    url: str | None = None
    mode: str | None = None
    connections: int | None = None
    instruments_per_connection: int | None = None
    client_id: str | None = None
    token_file: str | None = None


@dataclass(frozen=True)
class SessionConfig:
    """`session`."""

    stall_s: float = 5.0
    ping_s: float = 5.0
    connect_s: float = 10.0
    longest_wait_s: float = 30.0
    token_retry_s: float = 60.0
    record_frames: bool = False
    frames_gb: float = 2.0


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
    breaker_failures: int = 5
    breaker_open_s: float = 0.2
    breaker_longest_open_s: float = 2.0
    breaker_successes: int = 1
    lists_ttl_h: float = 24.0
    history_days: int = 30
    stream_hours: float = 48.0


@dataclass(frozen=True)
class JournalConfig:
    """`journal`."""

    ticks: str = "live"
    folder: str | None = None
    fsync: str = "everysec"
    segment_mb: int = 64
    keep_days: int = 7
    keep_gb: float = 50.0


@dataclass(frozen=True)
class RayConfig:
    """`ray=local` or `ray=cluster`."""

    kind: str = "local"
    dashboard: bool = True
    dashboard_port: int = 8265
    address: str = "auto"
    namespace: str = "ray_ingest"
    silent_s: float = 10.0


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
    """`alerts`: which of these an option takes, its file shows."""

    kind: str = "none"
    host: str | None = None
    port: int = 587
    security: str = "starttls"
    user: str | None = None
    sender: str | None = None
    to: list[str] = field(default_factory=list)
    secret_file: str | None = None
    hold_s: float = 3.0
    calm_s: float = 30.0
    repeat_min: float = 30.0
    max_per_hour: int = 20
    daily_summary: bool = True


@dataclass(frozen=True)
class MetricsConfig:
    """`metrics`."""

    port: int | None = 9464


@dataclass(frozen=True)
class LogConfig:
    """`log`."""

    level: str = "warning"
    format: str = "auto"
    file: str | None = None
    file_mb: float = 20.0


@dataclass(frozen=True, kw_only=True)
class AppConfig(TopConfig):
    """Everything the program can be told."""

    feed: FeedConfig
    brokers: dict[str, BrokerConfig]
    redis: RedisConfig
    ray: RayConfig
    filter: FilterConfig
    alerts: AlertsConfig
    ingest: IngestConfig
    journal: JournalConfig
    session: SessionConfig
    metrics: MetricsConfig
    log: LogConfig
    calendar: dict[str, Any]

    @property
    def keeps_ticks(self) -> bool:
        """Whether the feed's ticks are kept on local disk: by default a broker's, which can be had only once.
        A simulation's are of no worth, and would be sent to every store that hasn't got them."""
        return self.journal.ticks == "all" or (self.journal.ticks == "live" and bool(self.live_brokers))

    @property
    def live_brokers(self) -> tuple[str, ...]:
        """The brokers that feed this run, the preferred one first."""
        match self.feed:
            case BrokerFeedConfig():
                return (self.feed.kind,)
            case BrokersFeedConfig():
                return tuple(self.feed.order)
        return ()

    @property
    def speed(self) -> float | None:
        """Times real time; None is as fast as possible, and live feeds' own."""
        if not isinstance(self.feed, SimFeedConfig | ReplayFeedConfig) or self.feed.speed == "max":
            return None
        return float(self.feed.speed)
