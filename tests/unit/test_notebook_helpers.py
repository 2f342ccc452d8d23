"""What the notebooks share: longer candles, rates and quantiles of metrics."""

from datetime import datetime, timedelta
from types import ModuleType
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from tests.integration.markdown import ROOT

IST = ZoneInfo("Asia/Kolkata")


@pytest.fixture
def charts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """notebooks/charts.py."""
    monkeypatch.syspath_prepend(ROOT / "notebooks")
    import charts

    return charts


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """notebooks/health.py."""
    monkeypatch.syspath_prepend(ROOT / "notebooks")
    import health

    return health


def minutes(first: datetime, closes: list[float], volume: int | None) -> pl.DataFrame:
    """Candles of consecutive minutes as `Candles.history` has them."""
    times = [first + timedelta(minutes=n) for n in range(len(closes))]
    closes_ = pl.Series(closes)
    return pl.DataFrame(
        {
            "timestamp": pl.Series(times, dtype=pl.Datetime("ms", IST.key)),
            "open": closes_ - 0.5,
            "high": closes_ + 1,
            "low": closes_ - 1,
            "close": closes_,
            "volume": pl.Series([volume] * len(closes), dtype=pl.Int64),
            "ticks": 3,
            "phase": "regular",
        }
    )


def test_longer_candles_count_from_the_open(charts: ModuleType) -> None:
    """NSE's hours begin at 09:15, MCX's at 09:00; open is the first, close the last, volume the sum."""
    day = minutes(datetime(2026, 11, 20, 9, 15, tzinfo=IST), [float(n) for n in range(120)], 10)
    hours = charts.resample(day, 60)
    assert [f"{start:%H:%M}" for start in hours["timestamp"]] == ["09:15", "10:15"]
    assert hours.row(1)[1:6] == (59.5, 120.0, 59.0, 119.0, 600)
    early = charts.resample(day, 60, "09:00")["timestamp"]
    assert [f"{start:%H:%M}" for start in early] == ["09:00", "10:00", "11:00"]


def test_an_index_has_no_volume_in_longer_candles_either(charts: ModuleType) -> None:
    """Null stays null: a sum of nothing would be 0."""
    day = minutes(datetime(2026, 11, 20, 9, 15, tzinfo=IST), [1.0, 2.0], None)
    assert charts.resample(day, 5)["volume"].to_list() == [None]


def test_a_rate_survives_a_counter_that_begins_again(health: ModuleType) -> None:
    """A process that died counts from 0; what it counted since is its increase."""
    looks = [(0.0, 100.0), (1.0, 150.0), (2.0, 20.0), (3.0, 60.0)]
    seen = pl.DataFrame(
        [(at, "ticks_total", "feed[a]", value) for at, value in looks],
        ["at_s", "name", "actor", "value"],
        orient="row",
    )
    assert health.rate(seen, "ticks_total")["value"].to_list() == [50.0, 20.0, 40.0]


def test_a_quantile_is_of_the_last_looks_only(health: ModuleType) -> None:
    """Ninety-nine of a hundred new values are below the bound that is shown, whatever came before."""
    counts = {0.0: (5, 5, 5), 1.0: (5, 5, 5), 2.0: (5, 104, 105), 3.0: (5, 104, 105)}
    seen = pl.DataFrame(
        [
            (at, "delay_bucket", "feed[a]", bound, float(count))
            for at, row in counts.items()
            for bound, count in zip(("0.01", "0.1", "+Inf"), row, strict=True)
        ],
        ["at_s", "name", "actor", "le", "value"],
        orient="row",
    )
    assert health.quantile_ms(seen, "delay", 0.99).rows() == [(2.0, 100.0), (3.0, 100.0)]
