"""Turns a status into Prometheus' metric families, whenever it asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ray_ingest.actors.messages import Buckets
from ray_ingest.metrics.metric import PREFIX, Kind, Metric, Seen
from ray_ingest.metrics.of_feeds import FEED_METRICS
from ray_ingest.metrics.of_owners import OWNER_METRICS
from ray_ingest.metrics.of_run import RUN_METRICS

if TYPE_CHECKING:
    from ray_ingest.actors.status import Status

METRICS: list[Metric] = [*RUN_METRICS, *FEED_METRICS, *OWNER_METRICS]
"""All there are; their names are different."""


class StatusCollector(Collector):
    """`status` is asked at every scrape; what it counts is taken to begin now, by `clock` (epoch seconds)."""

    def __init__(self, status: Callable[[], Status], clock: Callable[[], float] = time.time) -> None:
        self._status = status
        self._clock = clock
        self._began_s = clock()

    def describe(self) -> list[Family]:
        """Nothing: a registry that asks needn't look at a status."""
        return []

    def collect(self) -> Iterator[Family]:
        """All families, also those that have no sample at present."""
        seen = Seen(self._status(), self._clock(), self._began_s)
        return (_family(metric, seen) for metric in METRICS)


def _family(metric: Metric, seen: Seen) -> Family:
    name, labels = f"{PREFIX}{metric.name}", metric.labels
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, metric.text, labels=labels)
        bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
        for values, found in metric.samples(seen):
            if isinstance(found, Buckets) and found.counts:
                counts = zip(bounds, accumulate(found.counts), strict=True)
                histogram.add_metric(values, list(counts), found.sum)
        return histogram
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = kind(name, metric.text, labels=labels)
    for values, value in metric.samples(seen):
        if not isinstance(value, Buckets):
            family.add_metric(values, value)
    return family
