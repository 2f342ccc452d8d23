"""A real day of Upstox V3 frames against the 1-minute candles that Upstox put into the same frames."""

from pathlib import Path

import polars as pl
import pytest

from ray_ingest.convert import main as convert
from tests.calendars import ms
from tests.integration.data.harness import VALUES, Replayed, System, agreement, shown

LAST_CANDLE_ENDS_MS = ms("2025-12-15 15:30")
POST_CLOSE_MS = ms("2025-12-15 15:40")


@pytest.fixture(scope="module")
def captures(shared_data: Path) -> list[Path]:
    """The recorded frames, one file an instrument."""
    return sorted((shared_data / "upstox_v3_20251215").glob("*.json.gz"))


@pytest.fixture(scope="module")
def ticks(tmp_path_factory: pytest.TempPathFactory, captures: list[Path]) -> Path:
    """The five captures as one file in arrival order."""
    output = tmp_path_factory.mktemp("upstox") / "day.parquet"
    assert convert(["upstox-v3", *map(str, captures), str(output)]) == 0
    return output


@pytest.fixture(scope="module")
def replayed(ticks: Path, system: System) -> Replayed:
    """The whole day, replayed."""
    return system.replay(ticks)


@pytest.fixture(scope="module")
def brokers(captures: list[Path]) -> pl.DataFrame:
    """Upstox's own candles, the first and last minute of each instrument left out: seen in part only."""
    frames = []
    for path in captures:
        name = path.name.removesuffix(".json.gz")
        candles = pl.read_csv(path.with_name(f"{name}.I1_candles.csv")).sort("minute_start_ms")
        instrument = "|".join(name.rsplit("_", 1))
        frames.append(
            candles.select(pl.lit(instrument).alias("instrument"), minute_ms="minute_start_ms", *VALUES)
        )
    return pl.concat(frames)
