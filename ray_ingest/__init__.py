"""Ray Ingest: broker ticks in, exact one-minute candles in Redis, on Ray."""

from ray_ingest.candles import Candles

__all__ = ["Candles"]
