"""What a broker's feed is told; all of it can be pickled, and none of it is a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray_ingest.core.backoff import BackoffSettings
from ray_ingest.core.stall import StallSettings
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.session.adapter import Subscription, WireSettings
from ray_ingest.feeds.session.tokens import TokenSettings


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Of every connection. Seconds: `authenticate_s` is how long a broker may look at the token, `close_s`
    how long ending a connection may take; while one is down, its gap is told every `tell_gap_s`; a feed whose
    ticks pause for `pause_s` has not ticked without interruption.

    `queue_frames` and `queue_bytes` bound what a connection's SDK is ahead of the session. Raw frames, when
    they are recorded, are kept up to `frames_bytes`, in files of `frames_file_bytes`.
    """

    backoff: BackoffSettings = field(default_factory=BackoffSettings)
    stall: StallSettings = field(default_factory=StallSettings)
    authenticate_s: float = 10.0
    close_s: float = 5.0
    tell_gap_s: float = 30.0
    pause_s: float = 5.0
    queue_frames: int = 50_000
    queue_bytes: int = 64 << 20
    frames_bytes: int = 2 << 30
    frames_file_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Of one broker's feed: `connections` of `instruments_per_connection` at most, the parsed `calendar`
    file, and the folder its raw frames are recorded in (None: they are not)."""

    broker: str
    wire: WireSettings
    subscriptions: tuple[Subscription, ...]
    connections: int
    instruments_per_connection: int
    token: TokenSettings
    calendar: Mapping[str, Any]
    session: SessionSettings = field(default_factory=SessionSettings)
    frames_folder: Path | None = None

    def check_number(self, instruments: int) -> None:
        """Raises ConfigError, naming the limits, when so many are too many."""
        most = self.connections * self.instruments_per_connection
        if instruments > most:
            raise ConfigError(
                f"{self.broker}: {instruments} instruments are too many for "
                f"brokers.{self.broker}.connections={self.connections} of "
                f"instruments_per_connection={self.instruments_per_connection}, which carry {most}"
            )
