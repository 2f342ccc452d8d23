"""Prometheus metrics made of a status: the document's names, labels by actor, nothing lost or doubled."""

import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from ray_ingest.actors.messages import Buckets, ConnectionStats, FeedStats, OhlcStats
from ray_ingest.actors.supervisor import Status
from ray_ingest.config import compose
from ray_ingest.core.connection import State
from ray_ingest.core.histogram import BATCH_TICKS, SECONDS, Histogram
from ray_ingest.errors import ConfigError
from ray_ingest.metrics import MetricsEndpoint, StatusCollector
from ray_ingest.metrics.__main__ import reference
from ray_ingest.metrics.collector import METRICS
from ray_ingest.metrics.metric import Kind
from ray_ingest.preflight import preflight

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOW_MS = 1_800_000_000_000


def buckets(bounds: tuple[float, ...], *values: float) -> Buckets:
    """What an actor answers that has measured these."""
    histogram = Histogram(bounds)
    for value in values:
        histogram.add(value)
    return Buckets(histogram.counts, histogram.sum)


FEED = FeedStats(
    "sim", "sim-1", 11, "running", received=100, repeated=3, filtered=2, rejected={"price": 4, "future": 1},
    queued=7, calls=5, rewinds=1, sequence=90, committed=85, in_flight=2, live=True, dropped=6, standby=9,
    to_recover=8, waits_for="the disk is full", dropped_frames={"malformed": 3},
    batches=buckets(BATCH_TICKS, 40, 2000), latency=buckets(SECONDS, 0.004, 0.004, 0.2),
    journal_bytes=4096, journal_segments=2, journal_disk_bytes=1000, journal_disk_free_bytes=400,
    connections=[
        ConnectionStats("sim-1", State.LIVE, 5_000, "the token ends at 03:30", 60, 3, 7_000),
        ConnectionStats("sim-2", State.BACKING_OFF, 6_000, "refused"),
    ],
)  # fmt: skip
OWNERS = [
    OhlcStats(
        "ohlc[0/2]", "1-a", 12, ticks_committed=60, rows=20, closed=6, closings=5, amendings=1,
        store_errors=1, ticks_pending=8, noted={"gap_notes": 2, "holiday": 3, "post_close": 4},
        plan_s=0.5, flush_s=1.5,
        flush=buckets(SECONDS, 0.01), round_trip_s=0.25, trouble="away", breaker="open", in_session=True,
        trouble_since_ms=NOW_MS - 60_000, newest_event_ms=NOW_MS - 4_000, watermark_ms=9_000,
    ),
    OhlcStats("ohlc[1/2]", "1-b", 13, ticks_committed=30, rows=10, closings=3, open_candles=2, instruments=8),
]  # fmt: skip
STATUS = Status(
    OWNERS, [FEED], {"ohlc[0/2]": 2}, {}, {"ohlc[1/2]": NOW_MS - 30_000}, 0, active=["sim"], takeovers=3
)


def value_of(status: Status, name: str, labels: dict[str, str]) -> float | None:
    """What a scrape of this status has for one series."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: status, lambda: NOW_MS / 1000))
    return registry.get_sample_value(f"ray_ingest_{name}", labels)


SIM, FIRST, SECOND = {"actor": "feed[sim]"}, {"actor": "ohlc[0/2]"}, {"actor": "ohlc[1/2]"}


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("ticks_received_total", SIM, 100),
        ("ticks_repeated_total", SIM, 3),
        ("ticks_filtered_total", SIM, 2),
        ("ticks_dropped_total", SIM, 6),
        ("ticks_standby_total", SIM, 9),
        ("frames_dropped_total", SIM | {"reason": "malformed"}, 3),
        ("ticks_rejected_total", SIM | {"reason": "price"}, 4),
        ("ticks_rejected_total", SIM | {"reason": "future"}, 1),
        ("ticks_rejected_total", FIRST | {"reason": "holiday"}, 3),
        ("ticks_rejected_total", SECOND | {"reason": "holiday"}, 0),
        ("ticks_outside_candles_total", FIRST | {"phase": "post_close"}, 4),
        ("gaps_noted_total", FIRST, 2),
        ("gaps_noted_total", SECOND, 0),
        ("feed_calls_total", SIM, 5),
        ("batch_ticks_bucket", SIM | {"le": "50.0"}, 1),
        ("batch_ticks_bucket", SIM | {"le": "1999.0"}, 1),
        ("batch_ticks_bucket", SIM | {"le": "2000.0"}, 2),
        ("batch_ticks_count", SIM, 2),
        ("batch_ticks_sum", SIM, 2040),
        ("tick_to_store_seconds_bucket", SIM | {"le": "0.005"}, 2),
        ("tick_to_store_seconds_bucket", SIM | {"le": "+Inf"}, 3),
        ("tick_to_store_seconds_sum", SIM, pytest.approx(0.208)),
        ("flush_seconds_count", FIRST, 1),
        ("flush_plan_seconds_total", FIRST, 0.5),
        ("commit_seconds_total", FIRST, 1.5),
        ("store_round_trip_seconds", FIRST, 0.25),
        ("store_up", FIRST, 0),
        ("store_up", SECOND, 1),
        ("store_trouble_seconds", FIRST, 60),
        ("store_trouble_seconds", SECOND, 0),
        ("breaker_state", FIRST | {"state": "open"}, 1),
        ("breaker_state", FIRST | {"state": "closed"}, 0),
        ("breaker_state", SECOND | {"state": "closed"}, 1),
        ("ticks_processed_total", FIRST, 60),
        ("ticks_processed_total", SECOND, 30),
        ("ohlc_updates_total", FIRST, 20),
        ("candles_closed_total", FIRST, 5),
        ("candles_amended_total", FIRST, 1),
        ("instruments", SECOND, 8),
        ("open_candles", SECOND, 2),
        ("in_session", FIRST, 1),
        ("candle_lag_seconds", FIRST, 4),
        ("candle_lag_seconds", SECOND, None),
        ("watermark_time_seconds", FIRST, 9),
        ("queue_size", SIM, 7),
        ("queue_size", FIRST, 8),
        ("errors_total", SIM, 1),
        ("errors_total", FIRST, 1),
        ("calls_in_flight", SIM, 2),
        ("sequence_offset", SIM, 90),
        ("committed_offset", SIM, 85),
        ("lag_ticks", SIM, 5),
        ("recovering_ticks", SIM, 8),
        ("feed_state", SIM | {"state": "running"}, 1),
        ("feed_state", SIM | {"state": "failed"}, 0),
        ("feed_live", SIM, 1),
        ("feed_active", SIM, 1),
        ("feed_waiting", SIM, 1),
        ("journal_bytes", SIM, 4096),
        ("journal_segments", SIM, 2),
        ("journal_disk_bytes", SIM, 1000),
        ("journal_disk_free_bytes", SIM, 400),
        ("connection_state", SIM | {"connection": "sim-2", "state": "backing off"}, 1),
        ("connection_state", SIM | {"connection": "sim-2", "state": "live"}, 0),
        ("connection_state_since_seconds", SIM | {"connection": "sim-1"}, 5),
        ("connection_last_frame_seconds", SIM | {"connection": "sim-1"}, 7),
        ("connection_instruments", SIM | {"connection": "sim-1"}, 60),
        ("reconnects_total", SIM | {"connection": "sim-1"}, 3),
        ("token_ending", SIM | {"connection": "sim-1"}, 1),
        ("token_ending", SIM | {"connection": "sim-2"}, 0),
        ("restarts_total", FIRST, 2),
        ("restarts_total", SECOND, 0),
        ("actor_silent_seconds", FIRST, 0),
        ("actor_silent_seconds", SECOND, 30),
        ("takeovers_total", {}, 3),
        ("supervisor_start_time_seconds", {}, NOW_MS / 1000),
    ],
)
def test_every_figure_has_its_name_and_its_actor(
    name: str, labels: dict[str, str], value: float | None
) -> None:
    """Dashboards and alerts are built on these names; an actor's figures appear under its name alone."""
    assert value_of(STATUS, name, labels) == value


def test_no_metric_is_left_out_of_this_test_or_of_the_exposition() -> None:
    """Each metric is exposed once, with the labels it is said to have, and never a process's id."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: STATUS))
    found = {family.name: family for family in registry.collect()}
    assert len(found) == len(METRICS) == len({metric.exposed for metric in METRICS})
    for metric in METRICS:
        samples = found[f"ray_ingest_{metric.name}"].samples
        assert samples, metric.name
        histogram = {"le"} if metric.kind is Kind.HISTOGRAM else set()
        assert {frozenset(s.labels) - histogram for s in samples} == {frozenset(metric.labels)}, metric.name
        assert not {"11", "12", "13"} & {label for s in samples for label in s.labels.values()}


def test_what_the_store_goes_back_by_is_no_fall_of_a_counter() -> None:
    """A counter that falls a little is a reset for Prometheus, which adds all of it again: candles closed are
    counted by the process and not read from the store, which may come back with fewer."""
    before = OhlcStats("ohlc[0/1]", "", 1, closed=10_000, closings=70)
    after = OhlcStats("ohlc[0/1]", "", 1, closed=9_900, closings=70)
    values = [
        value_of(Status([o], [], {}, {}, {}, 0), "candles_closed_total", {"actor": "ohlc[0/1]"})
        for o in (before, after)
    ]
    assert values == [70, 70]


def test_a_replay_has_no_candle_lag() -> None:
    """Ticks of last year are not a year late."""
    replay = FeedStats("replay", "r-1", 11, "running")
    status = Status([OhlcStats("ohlc[0/1]", "", 1, newest_event_ms=1)], [replay], {}, {}, {}, 0)
    assert value_of(status, "candle_lag_seconds", {"actor": "ohlc[0/1]"}) is None


def test_a_feed_without_a_journal_has_no_disk() -> None:
    """A disk of no bytes would be a full one."""
    status = Status([], [FeedStats("sim", "sim-1", 11)], {}, {}, {}, 0)
    assert value_of(status, "journal_disk_free_bytes", SIM) is None


def test_the_reference_in_the_docs_is_the_codes() -> None:
    """docs/monitoring.md has the table that `python -m ray_ingest.metrics` prints."""
    assert reference() in (DOCS / "monitoring.md").read_text()


def test_a_status_without_actors_is_no_error() -> None:
    """Prometheus may ask before the first actor has answered; then only the program itself is known."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: Status([], [], {}, {}, {}, 0)))
    told = {family.name for family in registry.collect() if family.samples}
    assert told == {
        "ray_ingest_build_info",
        "ray_ingest_supervisor_start_time_seconds",
        "ray_ingest_takeovers",
    }


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
    assert 'ray_ingest_ticks_received_total{actor="feed[sim]"} 100.0' in text
    assert "# TYPE ray_ingest_ticks_received_total counter" in text
    assert "# TYPE ray_ingest_tick_to_store_seconds histogram" in text
    families = list(text_string_to_metric_families(text))
    assert all(family.name.startswith("ray_ingest_") for family in families), "nothing of this process"


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


def test_a_port_that_another_run_has_says_so() -> None:
    """Who starts the program twice is told that, and not just of a number."""
    endpoint = MetricsEndpoint(lambda: STATUS, 0)
    try:
        with pytest.raises(ConfigError, match=rf"^a run is under way .*status --port {endpoint.port} shows"):
            preflight(compose([f"metrics.port={endpoint.port}"]))
    finally:
        endpoint.close()
