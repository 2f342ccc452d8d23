"""The notebooks, executed as Jupyter does, on what a real run of the main job stored."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError

from ray_ingest.config import SimFeedConfig, compose
from ray_ingest.feeds.sim import SimulatedExchange
from ray_ingest.feeds.sim_oracle import OracleCandle, snapshot_candles
from ray_ingest.store.valkey import ServerFiles, is_alive
from tests.integration.notebook_outputs import (
    GREEN,
    RED,
    Row,
    agreement,
    assert_candles_over_volume,
    coloured,
    execute,
    pictures,
    printed,
    quarters,
    table,
)

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICKSTART, CHARTS, CORRECTNESS, HEALTH, END_OF_DAY = NOTEBOOKS
MARKET = "indices=2 equities=6 futures=3 options=4 minutes=60 ticks_per_second=40"
FEED = [f"feed.{setting}" for setting in MARKET.split()]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an embedded store that the main job filled with an hour of a small market."""
    folder = tmp_path_factory.mktemp("run") / "store"
    command = [sys.executable, "-m", "ray_ingest.main", f"redis.data_dir={folder}", *FEED]
    quiet = ["ray.dashboard=false", "metrics.port=null"]
    done = subprocess.run([*command, *quiet], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where notebooks that fill a store of their own keep it, so that several can read the same."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture
def jupyter(tmp_path: Path, stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels of this environment that leave nothing in the user's folders and find none of them either."""
    for variable in (
        "JUPYTER_DATA_DIR",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_RUNTIME_DIR",
        "IPYTHONDIR",
        "MPLCONFIGDIR",
    ):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("RAY_INGEST_NOTEBOOKS_DIR", str(stores))
    for variable in ("RAY_INGEST_TICKS", "RAY_INGEST_METRICS_PORT", "RAY_INGEST_EOD_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    )


def oracle_days() -> dict[str, list[OracleCandle]]:
    """What the simulated exchange says of each instrument: its day's candles, ascending."""
    feed = compose(FEED).feed
    assert isinstance(feed, SimFeedConfig)
    days: dict[str, list[OracleCandle]] = {}
    for (exchange, token, _), candle in sorted(snapshot_candles(SimulatedExchange(feed.settings)).items()):
        days.setdefault(f"{exchange}|{token}", []).append(candle)
    return days


def summary(day: list[OracleCandle]) -> Row:
    """A day as the notebook's overview prints it."""
    volumes = [candle.volume for candle in day if candle.volume is not None]
    prices = [day[0].open, max(c.high for c in day), min(c.low for c in day), day[-1].close]
    change = f"{(day[-1].close / day[0].open - 1) * 100:,.2f}"
    return [
        *(f"{price:,.2f}" for price in prices),
        change,
        f"{sum(volumes):,}" if volumes else "null",
        str(len(day)),
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    """What nbstripout would take out isn't there: diffs show code, and nobody's data is in the history."""
    done = subprocess.run(
        [sys.executable, "-m", "nbstripout", "--verify", notebook], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_quickstart_notebook_prints_the_right_numbers_and_draws_them(
    data_dir: Path, jupyter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its overview is the oracle's day of each instrument, its chart has green and red candles over volume,
    and no warning, log line or font cache is in between."""
    monkeypatch.setenv("RAY_INGEST_DATA_DIR", str(data_dir))
    outputs = execute(QUICKSTART)
    assert not is_alive(ServerFiles(data_dir.resolve())), "the store outlives the notebook"
    assert printed(outputs) == ""

    days = oracle_days()
    columns = ("open", "high", "low", "close", "change %", "volume", "candles")
    overview = table(outputs, "instrument", *columns)
    assert {name.partition("|")[0] for name, *_ in overview} == {name.partition("|")[0] for name in days}
    assert {name: row for name, *row in overview} == {name: summary(days[name]) for name, *_ in overview}

    newest = table(outputs, "instrument", "timestamp", "close", "ticks", "final")
    assert len(newest) == len(overview)
    for name, timestamp, close, ticks, final in newest:
        assert timestamp == "2026-11-20 10:14:00 IST"
        assert (close, ticks, final) == (f"{days[name][-1].close:,.2f}", str(days[name][-1].ticks), "true")

    (picture,) = pictures(outputs)
    assert_candles_over_volume(picture)


def test_without_a_store_it_says_how_to_make_one(
    tmp_path: Path, jupyter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who starts here is told of `make run` in one sentence, not shown a failing table."""
    monkeypatch.setenv("RAY_INGEST_DATA_DIR", str(tmp_path / "store"))
    with pytest.raises(CellExecutionError, match=r"there is no store in .*make run"):
        execute(QUICKSTART)


def test_the_chart_notebook_draws_a_session_in_four_timeframes(jupyter: None) -> None:
    """Without real data it shows a whole simulated session: four charts in one picture, one of minutes, and
    hours that begin at 09:15."""
    outputs = execute(CHARTS)
    assert re.fullmatch(r"NSE_\w+\|\d+, 20 Nov 2026, simulated: 3[78]\d candles\n", printed(outputs))
    four, minutes = pictures(outputs)
    for corner in quarters(four):
        assert_candles_over_volume(corner, least=300)
    assert_candles_over_volume(minutes)
    hours = table(outputs, "timestamp", "open", "close", "ticks", "phase")
    assert [hour[0][11:16] for hour in hours] == [f"{hour:02}:15" for hour in range(9, 16)]


def test_the_correctness_notebook_finds_the_share_that_conflation_leaves(jupyter: None) -> None:
    """Against the exchange's own candles no candle shows a price that was not traded, and most fields equal
    them, as conflation lets them."""
    outputs = execute(CORRECTNESS)
    assert "minutes of 28 instruments, against the exchange's own candles" in printed(outputs)
    ((_, *shares),) = [row for row in agreement(outputs) if row[0] == "all"]
    *equal, all_prices, inside = map(float, shares)
    assert inside == 100
    assert all(80 < share < 95 for share in equal)
    assert 60 < all_prices < min(equal)
    assert len(pictures(outputs)) == 3


def test_the_correctness_notebook_holds_real_candles_against_the_brokers(
    shared_data: Path, jupyter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five instruments of a real day it finds the shares that were found apart from this project, and
    never a high or low outside the broker's."""
    monkeypatch.setenv("RAY_INGEST_TICKS", str(shared_data / "upstox_v3_20251215"))
    outputs = execute(CORRECTNESS)
    assert "1,709 minutes of 5 instruments, against Upstox's own candles" in printed(outputs)
    ((_, *shares),) = [row for row in agreement(outputs) if row[0] == "all"]
    assert [round(float(share), 1) for share in shares] == [76.7, 85.5, 80.2, 94.6, 83.4, 55.4, 100.0]


def test_the_chart_notebook_draws_real_data(
    shared_data: Path, jupyter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of captures is converted, replayed and drawn like the simulated market."""
    monkeypatch.setenv("RAY_INGEST_TICKS", str(shared_data / "upstox_v3_20251215"))
    outputs = execute(CHARTS)
    assert ", 15 Dec 2025, real: 3" in printed(outputs)
    for corner in quarters(pictures(outputs)[0]):
        assert_candles_over_volume(corner, least=300)


def test_the_health_notebook_shows_a_feed_that_was_killed(jupyter: None) -> None:
    """The watch sees the restart, the gap with its reason is in the store, and nothing of the demonstration
    is left running."""
    outputs = execute(HEALTH)
    assert table(outputs, "actor", "restarts") == [["feed[sim]", "1"], ["ohlc[0/1]", "0"]]
    assert [row[:2] for row in table(outputs, "reason", "instrument", "seconds")] == [["restart", "null"]]
    (marked,) = re.findall(r"^(\d+) candles say so", printed(outputs), re.M)
    assert 0 < int(marked) <= 50
    assert len(pictures(outputs)) == 1
    demo = Path(os.environ["RAY_INGEST_NOTEBOOKS_DIR"]) / "live" / "store"
    assert not is_alive(ServerFiles(demo.resolve()))


def test_the_end_of_day_notebook_tells_gaps_turnover_and_amendments(jupyter: None) -> None:
    """Of a session after another one it has every instrument's change, the gaps at the open, and how many
    candles were amended, and draws the leader over its volume."""
    outputs = execute(END_OF_DAY)
    assert printed(outputs).startswith("Friday, 20 November 2026: 28 instruments, ")
    assert "no tick is known to be missing" in printed(outputs)
    turnover = [float(row[0].replace(",", "")) for row in table(outputs, "₹ crore")]
    assert turnover == sorted(turnover, reverse=True)
    assert turnover[-1] > 0
    gaps = table(outputs, "before", "open", "gap %")
    for before, opening, gap in ([float(text.replace(",", "")) for text in row] for row in gaps):
        assert gap == pytest.approx((opening / before - 1) * 100, abs=0.01)
    everything = table(outputs, "instrument", "candles", "amended", "not final")[0]
    assert (everything[0], everything[1], everything[3]) == ("all", "10,640", "0")
    assert int(everything[2].replace(",", "")) >= 0  # how many depends on how commits fell
    moved, leader, quarter_hours = pictures(outputs)
    assert min(coloured(moved, GREEN), coloured(moved, RED)) > 1_000
    assert_candles_over_volume(leader)
    assert quarter_hours.shape[1] > 900
