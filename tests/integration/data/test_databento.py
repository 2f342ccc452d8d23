"""Exchange trades become a data vendor's own bars of the same minutes."""

from pathlib import Path

import databento
import numpy as np
import polars as pl
import pytest

from ray_ingest.convert import write_ticks
from ray_ingest.feeds.tick_batches import TICK_SCHEMA
from tests.integration.data.harness import VALUES, Replayed, System

FUTURES, CRYPTO = "GLBX", "BINANCE"
NS_PER_MS = 1_000_000
PRICE_UNITS = 1e9
MILLIONTHS = 1_000_000


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """Where the vendor's files are."""
    return shared_data / "databento_esz_2024"


@pytest.fixture(scope="module")
def trades(folder: Path) -> databento.DBNStore:
    """The trades of one future in four whole minutes."""
    return store_of(folder, "futures_trades_*")


@pytest.fixture(scope="module")
def crypto(folder: Path) -> pl.DataFrame:
    """The trades of a crypto pair as a tape; quantities are integers, so millionths of a coin."""
    trades = pl.read_parquet(folder / "btcusdt-trades.parquet")
    return tape(
        CRYPTO,
        ["BTCUSDT"] * len(trades),
        trades["timestamp"].dt.epoch("ms").to_numpy(),
        trades["price"].to_numpy(),
        (trades["quantity"] * MILLIONTHS).round().cast(pl.Int64).to_numpy(),
    )


@pytest.fixture(scope="module")
def replayed(
    tmp_path_factory: pytest.TempPathFactory,
    trades: databento.DBNStore,
    crypto: pl.DataFrame,
    system: System,
) -> Replayed:
    """Both tapes, a file each in one folder, replayed around the clock."""
    records = trades.to_ndarray()
    futures = tape(
        FUTURES,
        records["instrument_id"].astype(str),
        records["ts_event"].astype(np.int64) // NS_PER_MS,
        records["price"] / PRICE_UNITS,
        records["size"].astype(np.int64),
    )
    tapes = tmp_path_factory.mktemp("tapes")
    for name, ticks in (("futures", futures), ("crypto", crypto)):
        write_ticks(ticks.to_arrow().cast(TICK_SCHEMA).to_batches(), tapes / f"{name}.parquet")
    return system.replay(tapes, "calendar=continuous")


def test_bars_of_a_future_equal_the_vendors(
    replayed: Replayed, trades: databento.DBNStore, folder: Path
) -> None:
    """Every official bar of the minutes that the trades cover comes out in all five fields, and no other."""
    records = store_of(folder, "futures_ohlcv-1m_*").to_ndarray()
    records = records[
        (records["ts_event"] >= trades.metadata.start)
        & (records["ts_event"] < trades.metadata.end)
        & (records["instrument_id"] == trades.to_ndarray()["instrument_id"][0])
    ]
    official = pl.DataFrame(
        {
            "minute_ms": records["ts_event"].astype(np.int64) // NS_PER_MS,
            **{name: records[name] / PRICE_UNITS for name in VALUES[:4]},
            "volume": records["volume"].astype(np.int64),
        }
    )
    ours = replayed.candles.filter(pl.col("instrument").str.starts_with(FUTURES))
    assert ours.select(official.columns).rows() == official.rows()
    assert len(official) == 4
    print(f"\nDatabento: {len(ours)} of {len(official)} bars equal in all five fields")


def test_a_crypto_tape_replays_whole(replayed: Replayed, crypto: pl.DataFrame) -> None:
    """Thousands of trades at night, many in one millisecond, make exactly the candle they add up to."""
    price, quantity = crypto["last_price"], crypto["last_qty"]
    whole = (price[0], price.max(), price.min(), price[-1], quantity.sum(), len(crypto))
    ours = replayed.of(f"{CRYPTO}|BTCUSDT")
    assert ours.select(*VALUES, "ticks").rows() == [whole]
    assert crypto["event_time_ms"].is_duplicated().any()
    assert (replayed.report.ticks_rejected, replayed.report.ticks_repeated) == ({}, 0)


def store_of(folder: Path, pattern: str) -> databento.DBNStore:
    """The records of a DBN file, read whole: the library leaves files it opens to the garbage collector."""
    (path,) = folder.glob(f"{pattern}.dbn.zst")
    return databento.DBNStore.from_bytes(path.read_bytes())


def tape(
    exchange: str, token: object, event_time_ms: np.ndarray, last_price: np.ndarray, last_qty: np.ndarray
) -> pl.DataFrame:
    """Replay's columns of a tape: without cumulative volume, so quantities are summed."""
    ticks = pl.DataFrame(
        {"token": token, "event_time_ms": event_time_ms, "last_price": last_price, "last_qty": last_qty}
    )
    absent = [pl.lit(None).alias(name) for name in ("day_volume", "oi", "receive_time_ms", "source")]
    return ticks.with_columns(pl.lit(exchange).alias("exchange"), *absent).select(TICK_SCHEMA.names)
