"""The hand-made tapes that state DESIGN's rules 2 and 3, whole and cut among several producers.

None of them depends on who drops a repeat: where a broker's repeat reaches the store through another
producer, it has the same price, time and cumulative volume, and moves nothing but the number of ticks.
"""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import polars as pl
import pytest

from ray_ingest.actors.ohlc import OhlcPartition
from ray_ingest.pipeline import open_store, plan_of
from tests.integration.data.harness import Replayed, System, candles_of, replay_config, with_new_prefix
from tests.integration.data.interleaving import Producer, interleave
from tests.integration.data.vectors import Vector, expected_of, load_vectors
from tests.servers import Server

SEEDS = 20
SPLITS = 5
SMALL_BATCHES = ("ingest.batch_ticks=1", "ingest.linger_ms=0", "ingest.flush_interval_ms=0")
ANY_TIME = "ingest.future_ms=1000000000000"  # some of their days may be still to come


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> list[Vector]:
    """All of them."""
    found = load_vectors(shared_data / "vectors")
    assert len(found) >= 16
    return found


def test_vectors_in_file_order(tmp_path: Path, vectors: list[Vector], system: System) -> None:
    """Replayed as they are, all vectors of Indian hours give their candles and no other; the Saturday's
    ticks are refused as a holiday's."""
    chosen = [vector.renamed("whole") for vector in vectors if vector.calendar == "nse"]
    replayed = system.replay(write(tmp_path / "ticks.csv", [vector.ticks for vector in chosen]), ANY_TIME)
    assert_equal(replayed.candles, expected_of(chosen))
    (saturday,) = (vector for vector in vectors if vector.name == "weekend")
    assert replayed.report.ticks_rejected["holiday"] == len(saturday.ticks)


def test_vectors_of_split_producers(tmp_path: Path, vectors: list[Vector], system: System) -> None:
    """Cut at random among three feeds that send side by side to three partitions, they give the same."""
    chosen = [vector for vector in vectors if vector.calendar == "nse"]
    replay_split(tmp_path, chosen, system, 3, "ingest.partitions=3")


def test_tapes_of_split_producers(tmp_path: Path, vectors: list[Vector], system: System) -> None:
    """So does the round-the-clock tape, whole and cut between two feeds: every trade counts once."""
    chosen = [vector for vector in vectors if vector.calendar == "continuous"]
    assert chosen
    replay_split(tmp_path, chosen, system, 2, "calendar=continuous")


def test_vectors_however_batches_interleave(server: Server, vectors: list[Vector]) -> None:
    """Split and interleaved by many seeds, batch by batch and commit by commit, each gives its candles."""
    configs = {
        calendar: replay_config(server.url, vectors[0].path, f"calendar={calendar}", *SMALL_BATCHES)
        for calendar in {vector.calendar for vector in vectors}
    }
    for vector, seed in itertools.product(vectors, range(SEEDS)):
        rng = random.Random(f"{vector.name} {seed}")
        shares = vector.split(rng, rng.randint(2, 3))
        producers = [Producer.of(f"producer-{p}", vector, shares == p) for p in shares.unique()]
        config = with_new_prefix(configs[vector.calendar])
        with open_store(config) as store:
            owner = OhlcPartition(plan_of(config, store.url, "").owners[0])
            interleave(owner, producers, rng)
            owner.close()
        assert_equal(candles_of(server.url, config.redis.prefix), vector.candles, f"seed {seed}: ")


def replay_split(
    folder: Path, vectors: list[Vector], system: System, producers: int, *overrides: str
) -> None:
    """Replay vectors whole by one of the producers and, `SPLITS` times over, cut among all of them."""
    rng = random.Random(20251215)
    whole = [vector.renamed("whole") for vector in vectors]
    splits = [vector.renamed(f"split{number}") for number in range(SPLITS) for vector in vectors]
    parts = [[vector.ticks for vector in whole]] + [[] for _ in range(producers - 1)]
    for vector in splits:
        shares = vector.split(rng, producers)
        for number, part in enumerate(parts):
            part.append(vector.ticks.filter(shares == number))
    paths = [write(folder / f"{number}.csv", part) for number, part in enumerate(parts)]
    replayed: Replayed = system.replay(paths, ANY_TIME, *SMALL_BATCHES, *overrides)
    assert_equal(replayed.candles, expected_of(whole + splits))


def write(path: Path, ticks: list[pl.DataFrame]) -> Path:
    """The ticks one after another in a file."""
    pl.concat(ticks).write_csv(path)
    return path


def assert_equal(ours: pl.DataFrame, expected: pl.DataFrame, where: str = "") -> None:
    """Equal in all fields, volume's null included, and no candle more; the difference is told in rows."""
    ours = ours.select(expected.columns)
    if ours.rows() != expected.rows():
        extra = ours.join(expected, on=ours.columns, how="anti", nulls_equal=True)
        missing = expected.join(ours, on=ours.columns, how="anti", nulls_equal=True)
        pytest.fail(f"{where}unexpected candles: {extra.rows()}; missing: {missing.rows()}")
