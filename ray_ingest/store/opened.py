"""The store a run writes to, found or started, fit for candles, and kept alive where it is ours."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray_ingest.errors import StoreError
from ray_ingest.schema import AppConfig, RedisConfig
from ray_ingest.store.embedded import EmbeddedServer, default_data_dir
from ray_ingest.store.keys import Keys
from ray_ingest.store.layout import ensure_partitions
from ray_ingest.store.redis import check_server, connect, with_password

log = logging.getLogger(__name__)

START_S = 2.0


@dataclass(frozen=True, slots=True)
class Store:
    """An open store: where it is, and the embedded server that serves it (None: one that isn't ours)."""

    url: str
    server: EmbeddedServer | None = None

    def ensure_alive(self) -> None:
        """Start the embedded server again if its process is gone, and say so; cheap while it lives.

        One that needs long to read its data goes on loading. Where a start fails it is said, and tried again
        by the next call: ticks wait meanwhile.
        """
        if self.server is None or self.server.is_alive():
            return
        try:
            if self.server.ensure_alive(START_S):
                log.warning("the embedded store died and was started again")
        except StoreError as error:
            log.warning("the embedded store died: %s", error)


def data_dir_of(redis: RedisConfig) -> Path:
    """The embedded store's folder."""
    return Path(redis.data_dir).expanduser() if redis.data_dir else default_data_dir()


@contextmanager
def open_store(config: AppConfig) -> Iterator[Store]:
    """A store that is fit for candles and cut into the configured number of partitions.

    Raises StoreError when there is none, ConfigError for an unknown setting of the embedded one.
    """
    redis = config.redis
    with ExitStack() as stack:
        if redis.kind == "embedded":
            server = EmbeddedServer.attach(
                data_dir_of(redis), driver=True, fresh=redis.fresh, appendfsync=redis.appendfsync
            )
            store = Store(stack.enter_context(server).url, server)
        else:
            store = Store(with_password(str(redis.url), os.environ))
        client = connect(store.url, pool_size=redis.pool_size, timeout_s=redis.timeout_s)
        stack.callback(client.close)
        check_server(client)
        ensure_partitions(client, Keys(redis.prefix), config.ingest.partitions)
        yield store
