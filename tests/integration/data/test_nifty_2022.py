"""NIFTY 50 at a tick a second through 2022: published candles, and a Saturday that never was."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from ray_ingest.convert import main as convert
from tests.calendars import ms
from tests.integration.data.harness import Replayed, System, agreement, shown

STALE, OTHER_DAY = "2022-08-27", "2022-08-29"
INSTRUMENT = "NSE_INDEX|Nifty_50"
MINUTES_A_DAY = 375


@pytest.fixture(scope="module")
def days(shared_data: Path) -> dict[str, pl.DataFrame]:
    """The recorded days by date, but for the one that holds another day's ticks: `ts` in IST, `ltp`."""
    files = sorted((shared_data / "nifty50_1s_2022").glob("*.csv.gz"))
    return {
        path.name[:10]: pl.read_csv(path, has_header=False, new_columns=["ts", "ltp"], try_parse_dates=True)
        for path in files
        if OTHER_DAY not in path.name
    }


@pytest.fixture(scope="module")
def replayed(
    tmp_path_factory: pytest.TempPathFactory,
    shared_data: Path,
    days: dict[str, pl.DataFrame],
    system: System,
) -> Replayed:
    """Those days, the stale Saturday among them, converted and replayed in one go."""
    files = [str(shared_data / "nifty50_1s_2022" / f"{date}.csv.gz") for date in days]
    output = tmp_path_factory.mktemp("nifty") / "nifty.parquet"
    columns = ["--header", "ts,ltp", "--time-column", "ts", "--instrument", "NSE_INDEX|Nifty 50"]
    assert convert(["csv", *files, str(output), *columns]) == 0
    return system.replay(output)


def test_good_days_agree_with_published_candles(
    replayed: Replayed, days: dict[str, pl.DataFrame], shared_data: Path
) -> None:
    """On the 12 good days 99 % of closes and 85 % of whole candles equal the published ones."""
    good = [date for date in days if date != STALE]
    assert len(good) == 12
    published = pl.concat(published_candles(shared_data / "candles_1m_nifty_banknifty"))
    starts = [ms(f"{date} 00:00") for date in good]
    ours = replayed.of(INSTRUMENT)
    shares = agreement(ours, published)
    print(f"\nNIFTY 2022, {len(good)} days: {shown(shares)}")
    assert shares["minutes"] >= 0.99 * MINUTES_A_DAY * len(starts)
    assert shares["close"] >= 0.99
    assert shares["ohlc"] >= 0.85
    assert ours["volume"].null_count() == len(ours)


def test_the_stale_saturday_makes_no_candle_and_says_why(
    replayed: Replayed, days: dict[str, pl.DataFrame]
) -> None:
    """A copy of Friday under Saturday's date is refused tick by tick as a holiday's, and nothing else is."""
    start = ms(f"{STALE} 00:00")
    saturday = pl.col("minute_ms").is_between(start, start + 86_400_000, closed="left")
    assert replayed.candles.filter(saturday).is_empty()
    good = pl.concat(ticks for date, ticks in days.items() if date != STALE)["ts"]
    clock = good.dt.hour().cast(pl.Int32) * 60 + good.dt.minute()
    after = int((clock >= 15 * 60 + 30).sum())
    assert replayed.report.ticks_rejected == {"holiday": len(days[STALE]), "outside_session": after}
    assert replayed.report.ticks_without_candle == {"pre_open": int((clock < 9 * 60 + 15).sum())}
    print(f"\nNIFTY 2022 rejected: {replayed.report.ticks_rejected}")


def published_candles(folder: Path) -> Iterator[pl.DataFrame]:
    """The independent candles of those months, their labels turned from a minute's end to its start."""
    for path in folder.glob("2022_*_NIFTY*.txt.gz"):
        columns = ["name", "date", "end", "open", "high", "low", "close", "volume", "oi"]
        rows = pl.read_csv(path, has_header=False, new_columns=columns, schema_overrides={"date": pl.String})
        end = (pl.col("date") + pl.col("end")).str.to_datetime("%Y%m%d%H:%M", time_zone="Asia/Kolkata")
        yield rows.select(
            pl.lit(INSTRUMENT).alias("instrument"),
            (end.dt.epoch("ms") - 60_000).alias("minute_ms"),
            *("open", "high", "low", "close"),
        )
