"""Prometheus metrics made of a status: the document's names, labels by actor, nothing lost or doubled."""

import socket
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from ray_ingest.actors.messages import FeedStats, OhlcStats
from ray_ingest.actors.supervisor import Status
from ray_ingest.errors import ConfigError
from ray_ingest.metrics import MetricsEndpoint, StatusCollector

FEED = FeedStats(
    "sim", "sim-1", 11, "running", received=100, repeated=3, filtered=2, rejected={"price": 4, "future": 1},
    queued=7, calls=5, rewinds=1, latency_ms=[1.5, 9.0],
)  # fmt: skip
OWNERS = [
    OhlcStats("ohlc[0/2]", "1-a", 12, ticks_committed=60, rows=20, closed=6, store_errors=1, ticks_pending=8),
    OhlcStats("ohlc[1/2]", "1-b", 13, ticks_committed=30, rows=10, closed=3, open_candles=2),
]
STATUS = Status(OWNERS, [FEED], {"ohlc[0/2]": 2}, {}, {}, 0)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("ticks_received_total", {"feed": "sim"}, 100),
        ("ticks_repeated_total", {"feed": "sim"}, 3),
        ("ticks_filtered_total", {"feed": "sim"}, 2),
        ("ticks_rejected_total", {"feed": "sim", "reason": "price"}, 4),
        ("ticks_rejected_total", {"feed": "sim", "reason": "future"}, 1),
        ("ticks_processed_total", {"actor": "ohlc[0/2]"}, 60),
        ("ticks_processed_total", {"actor": "ohlc[1/2]"}, 30),
        ("ohlc_updates_total", {"actor": "ohlc[0/2]"}, 20),
        ("candles_closed_total", {"actor": "ohlc[1/2]"}, 3),
        ("queue_size", {"actor": "feed[sim]"}, 7),
        ("queue_size", {"actor": "ohlc[0/2]"}, 8),
        ("errors_total", {"actor": "ohlc[0/2]"}, 1),
        ("open_candles", {"actor": "ohlc[1/2]"}, 2),
        ("restarts", {"actor": "ohlc[0/2]"}, 2),
        ("commit_latency_ms", {"feed": "sim", "quantile": "0.99"}, 9),
    ],
)
def test_every_figure_has_its_name_and_its_actor(name: str, labels: dict[str, str], value: float) -> None:
    """Dashboards and alerts are built on these names; an actor's figures appear under its name alone."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: STATUS))
    assert registry.get_sample_value(f"ray_ingest_{name}", labels) == value


def test_a_status_without_actors_is_no_error() -> None:
    """Prometheus may ask before the first actor has answered."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: Status([], [], {}, {}, {}, 0)))
    assert all(not family.samples for family in registry.collect())


def test_the_endpoint_serves_on_the_loopback_what_the_status_is_now() -> None:
    """A scrape shows its own moment, in Prometheus's text format, on any free port when asked for port 0."""
    current = [Status([], [], {}, {}, {}, 0)]
    endpoint = MetricsEndpoint(lambda: current[0], 0)
    try:
        current[0] = STATUS
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    finally:
        endpoint.close()
    assert 'ray_ingest_ticks_received_total{feed="sim"} 100.0' in text
    assert "# TYPE ray_ingest_ticks_received_total counter" in text
    assert "python_gc" not in text, "nothing of this process, only of the run"


def test_no_port_means_no_endpoint() -> None:
    """With metrics.port=null nothing listens and closing is harmless."""
    endpoint = MetricsEndpoint(lambda: STATUS, None)
    assert endpoint.port == 0
    endpoint.close()


def test_a_port_in_use_is_named() -> None:
    """One line with the key, the port, and what may be chosen instead."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"^metrics\.port={port}: address already in use; choose"):
            MetricsEndpoint(lambda: STATUS, port)
