"""The read API: `Candles`, and `python -m ray_ingest.candles`, which shows the same in a terminal."""

from ray_ingest.candles.api import Candles
from ray_ingest.store.records import Candle

__all__ = ["Candle", "Candles"]
