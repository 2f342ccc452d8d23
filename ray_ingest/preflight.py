"""What can be known to fail is said at once, not after half a minute or at the end of a run."""

from __future__ import annotations

import os
from pathlib import Path

from ray_ingest.config import AppConfig, ReplayFeedConfig
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.session.settings import BrokerSettings
from ray_ingest.feeds.session.tokens import read_credentials
from ray_ingest.feeds.tick_files import read_columns, tick_file_paths
from ray_ingest.live import broker_settings_of
from ray_ingest.metrics import port_trouble
from ray_ingest.ports import LOOPBACK, port_error
from ray_ingest.status.asking import NotRunningError, look


def preflight(config: AppConfig) -> None:
    """Look at the files and ports the run will need; nothing is kept open.

    Raises ConfigError when what to subscribe isn't known, the report can't be written or the metrics port is
    taken; TokenError when the only broker's token isn't there; InputError when a tick
    file is missing, unreadable or without a column. On a cluster the feed's machine may be another one, so
    only the report, which the driver writes, is looked at.
    """
    if config.report is not None:
        _check_report(Path(config.report).expanduser())
    brokers = broker_settings_of(config)
    if config.ray.kind == "local":
        if isinstance(config.feed, ReplayFeedConfig):
            _check_tick_files(Path(config.feed.path).expanduser())
        _check_tokens(list(brokers.values()))
        if config.metrics.port:
            _check_port(config.metrics.port)


def _check_tokens(brokers: list[BrokerSettings]) -> None:
    """One broker without a token can do nothing; of several the others can."""
    if len(brokers) == 1:
        read_credentials(brokers[0].token)


def _check_report(path: Path) -> None:
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ConfigError(f"report={path}: must be a file in a folder that exists")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise ConfigError(f"report={path}: must be a file that may be written")


def _check_tick_files(path: Path) -> None:
    for file in tick_file_paths(path):
        next(read_columns([file], InstrumentTable(), "", rows_per_block=1), None)


def _check_port(port: int) -> None:
    error = port_error(port)
    if error is None:
        return
    try:
        look(f"http://{LOOPBACK}:{port}")
    except NotRunningError:
        raise ConfigError(f"metrics.port={port}: {port_trouble(error)}") from None
    raise ConfigError(
        f"a run is under way (python -m ray_ingest.status --port {port} shows it): one beside it needs "
        "metrics.port=0 and a store of its own"
    )
