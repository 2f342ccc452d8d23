"""Ray Ingest: broker ticks in, exact one-minute candles in Redis, on Ray."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray_ingest.candles import Candles

__all__ = ["Candles"]


def __getattr__(name: str) -> Any:
    """Candles when it is asked for: an actor that is started again needn't wait for what it won't use."""
    if name != "Candles":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ray_ingest.candles import Candles

    return Candles
