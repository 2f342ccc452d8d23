"""The hand-made tapes: what goes in, what must come out, and how to cut one tape among several producers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tests.integration.data.harness import VALUES

TICKS = {
    "exchange": pl.String,
    "token": pl.String,
    "event_time_ms": pl.Int64,
    "last_price": pl.Float64,
    "last_qty": pl.Int64,
    "day_volume": pl.Int64,
    "oi": pl.Int64,
    "source": pl.String,
}
CANDLES = {"exchange": pl.String, "token": pl.String, "minute_ms": pl.Int64} | {
    name: pl.Int64 if name == "volume" else pl.Float64 for name in VALUES
}


@dataclass(frozen=True)
class Vector:
    """One folder: its ticks as replay reads them, and its candles as `harness.candles_of` gives them."""

    name: str
    calendar: str
    path: Path
    ticks: pl.DataFrame
    candles: pl.DataFrame

    def renamed(self, suffix: str) -> Vector:
        """The same on instruments of its own, so that many vectors fit into one store: 8765.late.0."""
        label = f".{self.name}.{suffix}"
        ticks = self.ticks.with_columns(pl.col("token") + label)
        return Vector(
            self.name,
            self.calendar,
            self.path,
            ticks,
            self.candles.with_columns(pl.col("instrument") + label),
        )

    def split(self, rng: random.Random, producers: int) -> pl.Series:
        """Every tick given to one of `producers` at random: their numbers, 0 to `producers` - 1."""
        return pl.Series([rng.randrange(producers) for _ in range(len(self.ticks))], dtype=pl.Int64)


def load_vectors(folder: Path) -> list[Vector]:
    """Every vector there is, by name."""
    return [_load(path) for path in sorted(folder.iterdir()) if path.is_dir()]


def _load(folder: Path) -> Vector:
    continuous = "calendar=continuous" in (folder / "README").read_text("utf-8")
    candles = pl.read_csv(folder / "candles.csv", schema_overrides=CANDLES)
    return Vector(
        folder.name,
        "continuous" if continuous else "nse",
        folder / "ticks.csv",
        pl.read_csv(folder / "ticks.csv", schema_overrides=TICKS),
        candles.select(pl.format("{}|{}", "exchange", "token").alias("instrument"), "minute_ms", *VALUES),
    )


def expected_of(vectors: list[Vector]) -> pl.DataFrame:
    """The candles of all of them, in the order of `candles_of`."""
    return pl.concat(vector.candles for vector in vectors).sort("instrument", "minute_ms")
