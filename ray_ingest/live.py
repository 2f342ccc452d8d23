"""What the feeds of live brokers are told."""

from __future__ import annotations

from pathlib import Path

from ray_ingest.config import AppConfig
from ray_ingest.core.backoff import BackoffSettings
from ray_ingest.core.stall import StallSettings
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.brokers import adapter_of
from ray_ingest.feeds.session.adapter import Subscription, WireSettings
from ray_ingest.feeds.session.settings import BrokerSettings, SessionSettings
from ray_ingest.feeds.session.tokens import TokenSettings
from ray_ingest.journal import default_journal_dir
from ray_ingest.subscriptions import subscriptions_of


def broker_settings_of(config: AppConfig) -> dict[str, BrokerSettings]:
    """Those of each broker of the run, in its order; none for a run without. Raises ConfigError."""
    if not config.live_brokers:
        return {}
    found = subscriptions_of(config)
    return {name: _settings(config, name, subscriptions) for name, subscriptions in found.items()}


def _settings(config: AppConfig, name: str, subscriptions: tuple[Subscription, ...]) -> BrokerSettings:
    own, adapter, session = config.brokers[name], adapter_of(name), config.session
    mode = own.mode or adapter.modes[0]
    if mode not in adapter.modes:
        raise ConfigError(f"brokers.{name}.mode={mode}: must be one of {', '.join(adapter.modes)}")
    allowed = adapter.fewer_in.get(mode, adapter.instruments_per_connection)
    longest_s = session.longest_wait_s
    every = SessionSettings(
        backoff=BackoffSettings(longest_s=longest_s, refused_longest_s=4 * longest_s),
        stall=StallSettings(mute_s=session.stall_s),
        frames_bytes=int(session.frames_gb * (1 << 30)),
    )
    settings = BrokerSettings(
        broker=name,
        wire=WireSettings(own.url, mode, session.ping_s, session.connect_s),
        subscriptions=subscriptions,
        connections=own.connections or adapter.connections,
        instruments_per_connection=own.instruments_per_connection or allowed,
        token=token_settings_of(config, name),
        calendar=config.calendar,
        session=every,
        frames_folder=default_frames_dir() if session.record_frames else None,
    )
    settings.check_number(len(subscriptions))
    return settings


def token_settings_of(config: AppConfig, name: str) -> TokenSettings:
    """Where a broker's token is."""
    own = config.brokers[name]
    return TokenSettings(
        broker=name,
        client_id=own.client_id or "",
        token_file=Path(own.token_file).expanduser().absolute() if own.token_file else None,
        environment=adapter_of(name).environment,
        retry_s=config.session.token_retry_s,
    )


def default_frames_dir() -> Path:
    """Where raw frames are recorded."""
    return default_journal_dir().with_name("frames")
