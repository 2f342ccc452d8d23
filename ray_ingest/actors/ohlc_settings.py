"""What an owner is told; apart from it, so that who only starts one needn't load the store's client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ray_ingest.core.breaker import BreakerSettings
from ray_ingest.core.watermark import WatermarkSettings
from ray_ingest.logs import LogSettings


@dataclass(frozen=True, slots=True)
class OhlcSettings:
    """What an owner is told: its partition, the store, and its pace."""

    partition: int
    partitions: int
    url: str
    prefix: str
    pool_size: int
    timeout_s: float
    health_check_interval_s: int
    lists_ttl_ms: int
    history_days: int
    stream_ms: int
    flush_interval_s: float
    flush_duty: float
    pending_ticks: int
    breaker: BreakerSettings
    watermark: WatermarkSettings
    calendar: dict[str, Any]
    scripts: Mapping[str, str]
    log: LogSettings | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The actor's name and its repr in the Ray dashboard."""
        return f"ohlc[{self.partition}/{self.partitions}]"
