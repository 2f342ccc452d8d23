"""Prometheus metrics of all actors on one port, made from the figures in their last answers.

The names of the document are kept, prefixed `ray_ingest_`. Labels are actor names, never process ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ray_ingest.actors.messages import FeedStats, OhlcStats
from ray_ingest.errors import ConfigError

if TYPE_CHECKING:
    from ray_ingest.actors.status import Status

ADDRESS = "127.0.0.1"

Figures = tuple[tuple[str, str, Callable[[Any], float]], ...]

FEED_FIGURES: Figures = (
    ("ticks_received", "Ticks a feed received", lambda f: f.received),
    ("ticks_repeated", "Ticks dropped as repeats of the one before", lambda f: f.repeated),
    ("ticks_filtered", "Ticks the configured filter dropped", lambda f: f.filtered),
    ("feed_calls", "Calls a feed made to OHLC actors", lambda f: f.calls),
    ("ticks_dropped", "Ticks that found a live feed's buffer full", lambda f: f.dropped),
    ("feed_rewinds", "Times a feed went back to the committed offset", lambda f: f.rewinds),
)
OHLC_FIGURES: Figures = (
    ("ticks_processed", "Ticks committed to the store", lambda o: o.ticks_committed),
    ("ohlc_updates", "Rows of candles committed to the store", lambda o: o.rows),
    ("candles_closed", "Candles that became final", lambda o: o.closed),
    ("candles_amended", "Final candles that were corrected", lambda o: o.amended),
    ("flushes", "Commits", lambda o: o.flushes),
    ("flush_seconds", "Time from sending commits to their replies", lambda o: o.flush_s),
)
OHLC_GAUGES: Figures = (
    ("instruments", "Instruments an OHLC actor knows", lambda o: o.instruments),
    ("store_circuit_open", "1 while the store is left alone after failures", lambda o: o.breaker == "open"),
    ("open_candles", "Running candles", lambda o: o.open_candles),
    ("newest_event_time_ms", "Newest event time seen, epoch ms", lambda o: o.newest_event_ms),
)


class StatusCollector(Collector):
    """Turns a `Status` into metric families whenever Prometheus asks."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """All families, counters' names without their `_total`, which the exposition appends."""
        status = self._status()
        yield from _counters(FEED_FIGURES, status.feeds, "feed")
        yield from _counters(OHLC_FIGURES, status.owners, "actor")
        for name, text, figure in OHLC_GAUGES:
            yield _gauge(name, text, "actor", {o.name: figure(o) for o in status.owners})
        yield _gauge(
            "queue_size",
            "Ticks waiting in a feed or an OHLC actor",
            "actor",
            {f"feed[{f.name}]": f.queued for f in status.feeds}
            | {o.name: o.ticks_pending for o in status.owners},
        )
        rejected = CounterMetricFamily(
            "ray_ingest_ticks_rejected", "Ticks rejected, by reason", labels=["feed", "reason"]
        )
        errors = CounterMetricFamily("ray_ingest_errors", "Errors and restarts", labels=["actor"])
        latency = GaugeMetricFamily(
            "ray_ingest_commit_latency_ms", "From receipt to commit, of late", labels=["feed", "quantile"]
        )
        for feed in status.feeds:
            for reason, number in feed.rejected.items():
                rejected.add_metric([feed.name, reason], number)
            for quantile, value in zip(("0.5", "0.99"), feed.latency_ms, strict=False):
                latency.add_metric([feed.name, quantile], value)
        for owner in status.owners:
            errors.add_metric([owner.name], owner.store_errors)
        yield from (rejected, errors, latency)
        yield _gauge("restarts", "Times an actor was restarted", "actor", status.restarts)


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

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def port_trouble(error: OSError) -> str:
    """What to tell a person whose port can't be had."""
    return f"{(error.strerror or str(error)).lower()}; choose another one, 0 for any, or null for none"


def _counters(
    figures: Figures,
    actors: list[FeedStats] | list[OhlcStats],
    label: str,
) -> Iterator[Metric]:
    for name, text, figure in figures:
        family = CounterMetricFamily(f"ray_ingest_{name}", text, labels=[label])
        for actor in actors:
            family.add_metric([actor.name], figure(actor))
        yield family


def _gauge(name: str, text: str, label: str, values: dict[str, float] | dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"ray_ingest_{name}", text, labels=[label])
    for who, value in values.items():
        family.add_metric([who], value)
    return family
