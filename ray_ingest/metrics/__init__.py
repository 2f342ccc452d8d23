"""Prometheus metrics of all actors on one port, made from the figures in their last answers.

The names of the document are kept, prefixed `ray_ingest_`. Labels are actor names, never process ids. Nothing
is counted for them that isn't in the actors' figures anyway, and those are updated once a batch.
"""

from ray_ingest.metrics.collector import StatusCollector
from ray_ingest.metrics.endpoint import ADDRESS, MetricsEndpoint, port_trouble

__all__ = ["ADDRESS", "MetricsEndpoint", "StatusCollector", "port_trouble"]
