"""The notebooks, executed as Jupyter does, on what a real run of the main job stored."""

import base64
import html
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ray_ingest.config import SimFeedConfig, compose
from ray_ingest.feeds.sim import SimulatedExchange
from ray_ingest.feeds.sim_oracle import OracleCandle, snapshot_candles
from ray_ingest.store.valkey import ServerFiles, is_alive

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CANDLES = ROOT / "notebooks" / "01_candles.ipynb"
MARKET = "indices=2 equities=6 futures=3 options=4 minutes=60 ticks_per_second=40"
FEED = [f"feed.{setting}" for setting in MARKET.split()]
GREEN, RED = (38, 166, 154), (239, 83, 80)

Row = list[str]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an embedded store that the main job filled with an hour of a small market."""
    folder = tmp_path_factory.mktemp("run") / "store"
    command = [sys.executable, "-m", "ray_ingest.main", f"redis.data_dir={folder}", *FEED]
    quiet = ["ray.dashboard=false", "metrics.port=null"]
    done = subprocess.run([*command, *quiet], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    )


def execute(notebook: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[nbformat.NotebookNode]:
    """Run it from its own folder; what its code cells put out. Raises CellExecutionError."""
    monkeypatch.setenv("RAY_INGEST_DATA_DIR", str(data_dir))
    cells = nbformat.read(notebook, nbformat.NO_CONVERT)
    folder = {"metadata": {"path": str(notebook.parent)}}
    NotebookClient(cells, timeout=120, kernel_name="python3", resources=folder).execute()
    return [output for cell in cells.cells if cell.cell_type == "code" for output in cell.outputs]


def table(outputs: list[nbformat.NotebookNode], *columns: str) -> list[Row]:
    """Rows of the one table whose header has all these columns, in the notebook's order of columns."""
    found = []
    for output in outputs:
        text = html.unescape(output.get("data", {}).get("text/html", ""))
        head = re.findall(r"<th>(.*?)</th>", text)
        if set(columns) <= set(head):
            places = [head.index(column) for column in columns]
            rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]
            found.append([[row[place].strip('"') for place in places] for row in rows if row])
    assert len(found) == 1, f"{len(found)} tables have {columns}"
    return found[0]


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


def test_the_candles_notebook_prints_the_right_numbers_and_draws_them(
    data_dir: Path, jupyter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its overview is the oracle's day of each instrument, its chart has green and red candles over volume,
    and no warning, log line or font cache is in between."""
    outputs = execute(CANDLES, data_dir, monkeypatch)
    assert not is_alive(ServerFiles(data_dir.resolve())), "the store outlives the notebook"
    assert [output for output in outputs if output.output_type in ("stream", "error")] == []

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

    (drawn,) = {output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})}
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(drawn)))
    pixels = np.rint(picture[:, :, :3] * 255).astype(int)
    height, width = pixels.shape[:2]
    assert width > height > 400
    for colour in (GREEN, RED):
        coloured = (pixels == colour).all(axis=2)
        assert coloured[: height * 2 // 3].sum() > 1_000, "no candles of this colour"
        assert coloured[height * 3 // 4 :].sum() > 1_000, "no volume bars of this colour"


def test_an_empty_store_says_how_to_fill_it(
    tmp_path: Path, jupyter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who starts here is told of `make run` in one sentence, not shown a failing table."""
    with pytest.raises(CellExecutionError, match=r"There are no candles in .*: `make run` makes some"):
        execute(CANDLES, tmp_path / "store", monkeypatch)
