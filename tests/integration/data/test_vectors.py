"""The hand-made tapes that state DESIGN's rules 2 and 3, and the same tapes cut among producers.

None of them depends on which producer drops a repeat: where a broker's repeat reaches the store through
another producer, it carries the same price, time and cumulative volume, and so moves nothing but `ticks`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ray_ingest.actors.ohlc import OhlcPartition
from ray_ingest.pipeline import open_store, plan_of
from tests.integration.data.harness import System, candles_of
from tests.integration.data.interleaving import Producer, interleave
from tests.integration.data.vectors import Vector, expected_of, load_vectors
from tests.servers import Server

SEEDS = 20
SPLITS = 5
ANY_TIME = "ingest.future_ms=9999999999999"  # some of their days are still to come


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> list[Vector]:
    """All of them."""
    found = load_vectors(shared_data / "vectors")
    assert len(found) >= 16
    return found


@pytest.mark.parametrize("partitions", [1, 3])
def test_vectors_in_file_order(
    tmp_path: Path, vectors: list[Vector], system: System, partitions: int
) -> None:
    """Replayed in file order, every vector of Indian hours gives its candles and no other, and every tick
    that makes none is refused for the reason its README tells."""
    chosen = [vector.renamed("whole") for vector in vectors if vector.calendar == "nse"]
    replayed = system.replay(written(tmp_path / "ticks.csv", chosen), ANY_TIME, f"ingest.partitions={partitions}")
    assert_equal(replayed.candles, expected_of(chosen))
    assert replayed.report.ticks_rejected == {"price": 2, "holiday": 2, "outside_session": 2}
    assert replayed.report.ticks_without_candle == {"pre_open": 1}
    assert replayed.report.ticks_repeated == 3
