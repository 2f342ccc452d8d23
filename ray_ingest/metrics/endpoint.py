"""The port Prometheus asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server

from ray_ingest.errors import ConfigError
from ray_ingest.metrics.collector import StatusCollector
from ray_ingest.status.page import with_page

if TYPE_CHECKING:
    from ray_ingest.actors.status import Status

ADDRESS = "127.0.0.1"


class MetricsEndpoint:
    """An HTTP server on 127.0.0.1; port 0 picks a free one, None serves nothing.

    Raises ConfigError when the port is taken.
    """

    def __init__(self, status: Callable[[], Status], port: int | None) -> None:
        self.port = 0
        self._server = None
        if port is None:
            return
        registry = CollectorRegistry()
        registry.register(StatusCollector(status))
        try:
            self._server, self._thread = start_http_server(port, ADDRESS, registry)
        except OSError as error:
            raise ConfigError(f"metrics.port={port}: {port_trouble(error)}") from None
        self.port = self._server.server_port
        self._server.set_app(with_page(self._server.get_app(), status))

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def port_trouble(error: OSError) -> str:
    """What to tell a person whose port can't be had."""
    return f"{(error.strerror or str(error)).lower()}; choose another one, 0 for any, or null for none"
