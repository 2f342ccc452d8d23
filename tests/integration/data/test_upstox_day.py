"""A real day of Upstox V3 frames against the 1-minute candles that Upstox put into the same frames."""

from pathlib import Path

import polars as pl
import pytest

from ray_ingest.convert import main as convert
from tests.calendars import ms
from tests.integration.data.harness import VALUES, Replayed, System, agreement, shown

CLOSE_MS, POST_CLOSE_MS = ms("2025-12-15 15:30"), ms("2025-12-15 15:40")


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
    """Upstox's own candles of the five instruments."""
    frames = []
    for path in captures:
        name = path.name.removesuffix(".json.gz")
        candles = pl.read_csv(path.with_name(f"{name}.I1_candles.csv"))
        instrument = pl.lit("|".join(name.rsplit("_", 1))).alias("instrument")
        frames.append(candles.select(instrument, pl.col("minute_start_ms").alias("minute_ms"), *VALUES))
    return pl.concat(frames)


@pytest.fixture(scope="module")
def ours(replayed: Replayed, brokers: pl.DataFrame) -> pl.DataFrame:
    """Our candles of the minutes that both have; the first and last of each instrument, recorded in part
    only, are left out."""
    both = replayed.candles.join(brokers, on=["instrument", "minute_ms"], how="semi")
    minute = pl.col("minute_ms")
    return both.filter(
        (minute > minute.min().over("instrument")) & (minute < minute.max().over("instrument"))
    )


def test_prices_lie_inside_the_brokers(ours: pl.DataFrame, brokers: pl.DataFrame) -> None:
    """In every minute our high and low, seen in snapshots, lie inside those of every trade."""
    both = ours.join(brokers, on=["instrument", "minute_ms"], suffix="_theirs")
    inside = (both["high"] <= both["high_theirs"]) & (both["low"] >= both["low_theirs"])
    print(f"\nUpstox: high and low inside I1 in {inside.sum():,} of {len(both):,} minutes")
    assert inside.all()
    assert len(both) >= 1_700


def test_candles_agree_with_the_brokers(ours: pl.DataFrame, brokers: pl.DataFrame) -> None:
    """Of all five pooled, 94 % of closes, 83 % of volumes and 55 % of whole candles equal Upstox's own."""
    shares = agreement(ours, brokers)
    print(f"\nUpstox: {shown(shares)}")
    assert shares["close"] >= 0.94
    assert shares["volume"] >= 0.83
    assert shares["ohlc"] >= 0.55


def test_ticks_after_the_session_make_no_candle(replayed: Replayed, ticks: Path) -> None:
    """Trades after 15:40, the first since 15:30, make no candle and are counted as post-close."""
    time_ms = pl.col("event_time_ms")
    late = pl.read_parquet(ticks).filter(time_ms >= CLOSE_MS)
    trades = late.unique(["exchange", "token", "event_time_ms", "day_volume"])  # the others are repeats
    assert trades.select((time_ms >= POST_CLOSE_MS).all()).item()
    assert set(trades["exchange"]) == {"NSE_EQ"}
    assert replayed.candles.filter(pl.col("minute_ms") >= CLOSE_MS).is_empty()
    assert replayed.report.ticks_without_candle == {"post_close": len(trades)}
    assert replayed.report.ticks_rejected == {}
    print(f"\nUpstox: {len(trades)} trades after 15:40, without a candle")
