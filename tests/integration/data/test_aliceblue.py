"""A dirty feed of another broker: whole seconds, disorder, gaps, mixed days, clocks at zero."""

import re
from pathlib import Path

import polars as pl
import pytest

from ray_ingest.convert import main as convert
from tests.integration.data.harness import VALUES, Replayed, System

EXCHANGES = {"EQ": "NSE_EQ", "IDX": "NSE_INDEX"}
NINE, OPEN, CLOSE, POST_CLOSE, END = 540, 555, 930, 940, 960  # minutes of the day


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> pl.DataFrame:
    """All rows in file order as recorded, with instrument, and when they are by the exchange's own hours."""
    frames = [
        pl.read_csv(path, try_parse_dates=True).select(
            pl.lit("|".join(instrument_of(path)).replace(" ", "_")).alias("instrument"), pl.all()
        )
        for path in files_of(shared_data)
    ]
    time = pl.col("timestamp")
    minute = time.dt.hour().cast(pl.Int32) * 60 + time.dt.minute()
    share = pl.col("instrument").str.starts_with("NSE_EQ")
    rows = pl.concat(frames).with_columns(
        volume=pl.when(share).then("volume"),
        when=pl.when(time.dt.year() == 1970)
        .then(pl.lit("time"))
        .when(minute.is_between(NINE, OPEN - 1))
        .then(pl.lit("pre_open"))
        .when(minute.is_between(OPEN, CLOSE - 1))
        .then(pl.lit("regular"))
        .when(share & minute.is_between(POST_CLOSE, END - 1))
        .then(pl.lit("post_close"))
        .otherwise(pl.lit("outside_session")),
    )
    before = pl.struct("timestamp", "volume").shift(1).over(["instrument", pl.col("when") == "time"])
    repeat = share & (pl.col("when") != "time") & (pl.struct("timestamp", "volume") == before)
    return rows.with_columns(repeat=repeat.fill_null(False))


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, shared_data: Path, system: System) -> Replayed:
    """Every file converted, and all of them replayed as one folder."""
    folder = tmp_path_factory.mktemp("aliceblue")
    for number, path in enumerate(files_of(shared_data)):
        exchange, token = instrument_of(path)
        volume = ["--volume-column", "volume"] if exchange == "NSE_EQ" else []
        output = folder / f"{number:02d}.parquet"
        instrument = ["--instrument", f"{exchange}|{token}"]
        assert convert(["csv", str(path), str(output), *instrument, *volume]) == 0
    return system.replay(folder)


def test_every_reject_is_explained(replayed: Replayed, recorded: pl.DataFrame) -> None:
    """Each row is applied, a repeat, or refused for the reason that the file itself gives."""
    report = replayed.report
    assert report.ticks_in == len(recorded)
    assert report.ticks_repeated == recorded["repeat"].sum()
    counted = dict(recorded.filter(~pl.col("repeat")).group_by("when").len().iter_rows())
    assert report.ticks_rejected == {name: counted[name] for name in ("time", "outside_session")}
    assert report.ticks_without_candle == {name: counted[name] for name in ("pre_open", "post_close")}
    print(
        f"\nAlice Blue: {report.ticks_in:,} ticks, {report.ticks_repeated:,} repeats, rejected "
        f"{report.ticks_rejected} (clock at zero; before 09:00, 15:30–15:40 or evening), "
        f"without a candle {report.ticks_without_candle}"
    )


def test_dirt_changes_no_candle(replayed: Replayed, recorded: pl.DataFrame) -> None:
    """However disordered the rows are, every candle is what their set says: prices in the order of (volume,
    time), volume as the rise of the day's highest."""
    ours = replayed.candles.select("instrument", "minute_ms", *VALUES)
    expected = candles_by_rule(recorded)
    different = ours.join(expected, on=ours.columns, how="anti", nulls_equal=True)
    assert different.is_empty(), different
    assert len(ours) == len(expected)
    print(f"\nAlice Blue: {len(ours):,} candles equal the rule's")


def candles_by_rule(recorded: pl.DataFrame) -> pl.DataFrame:
    """DESIGN's rules 2 and 3 over all rows at once."""
    day = [pl.col("instrument"), pl.col("timestamp").dt.date().alias("day")]
    rows = recorded.filter(pl.col("when").is_in(["pre_open", "regular", "post_close"]))
    minute_start = pl.col("timestamp").dt.truncate("1m").dt.replace_time_zone("Asia/Kolkata")
    price, volume = pl.col("ltp"), pl.col("volume")
    minutes = (
        rows.sort("instrument", "volume", "timestamp", maintain_order=True)
        .group_by(*day, minute_start.dt.epoch("ms").alias("minute_ms"), maintain_order=True)
        .agg(
            *(pl.col("when").first(), price.first().alias("open"), price.max().alias("high")),
            *(price.min().alias("low"), price.last().alias("close")),
            *(volume.min().alias("lowest"), volume.max().alias("highest")),
        )
        .sort("instrument", "minute_ms")
    )
    before = pl.col("highest").cum_max().shift(1).over("instrument", "day")
    lowest = pl.col("lowest").min().over("instrument", "day")
    rise = pl.col("highest") - pl.coalesce(before, lowest)
    return minutes.with_columns(volume=pl.max_horizontal(rise, rise * 0)).filter(pl.col("when") == "regular")


def files_of(shared_data: Path) -> list[Path]:
    """The recorded files in name order."""
    return sorted((shared_data / "aliceblue_ticks_2021").glob("*.csv.gz"))


def instrument_of(path: Path) -> tuple[str, str]:
    """("NSE_INDEX", "Nifty Bank") of "05-April-2021__IDX__Nifty_Bank_05_April.csv.gz"."""
    _, kind, name = path.name.split("__")
    found = re.match(r"(.+?)(?:50)?_\d", name)
    assert found
    return EXCHANGES[kind], found[1].replace("_", " ")
