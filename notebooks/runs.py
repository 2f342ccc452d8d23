"""Stores for the notebooks to read: each is filled once by the main job, and kept."""

import json
import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import polars as pl
from platformdirs import user_state_path

from ray_ingest.config import compose
from ray_ingest.feeds import sim_oracle
from ray_ingest.feeds.sim import SimulatedExchange

FOLDER = Path(
    os.environ.get("RAY_INGEST_NOTEBOOKS_DIR") or user_state_path("ray-ingest", False) / "notebooks"
)
MARKET = "indices=2 equities=12 futures=6 options=8 minutes=385 ticks_per_second=30"
SESSION, DAY_BEFORE = 20261120, 20261119
AUCTION = "calendar.fno_stocks=[1333,2885,1594,11536,3045]"  # which stocks close by auction
VALUES = ["open", "high", "low", "close", "volume"]
_IST_TIME = (
    pl.col("timestamp")
    .cast(pl.Datetime("ms"))
    .dt.replace_time_zone("UTC")
    .dt.convert_time_zone("Asia/Kolkata")
)
QUIET = ["ray.dashboard=false", "redis.history_days=36500"]


def settings(date: int = SESSION) -> list[str]:
    """A whole simulated session of a small market; the day before was a quieter one."""
    market = [f"feed.{setting}" for setting in MARKET.split()]
    if date == DAY_BEFORE:
        market[-1] = "feed.ticks_per_second=5"
    return [*market, f"feed.date={date}"]


def simulated() -> Path:
    """The data folder of a store with two sessions of the simulated market."""
    return _filled([[*settings(date), AUCTION] for date in (DAY_BEFORE, SESSION)])


def replayed(path: Path) -> Path:
    """The data folder of a store with the candles of `path`: a tick file or folder that feed=replay reads, or
    a folder of Upstox captures, `*.json.gz`."""
    captures = sorted(path.glob("*.json.gz")) if path.is_dir() else []
    if captures:
        path = FOLDER / f"{_digest([*map(_version, captures)])}.parquet"
        if not path.exists():
            FOLDER.mkdir(parents=True, exist_ok=True)
            _python("ray_ingest.convert", "upstox-v3", *map(str, captures), str(path))
    return _filled([["feed=replay", f"feed.path={path}"]], _version(path))


def broker_candles(folder: Path) -> dict[str, pl.DataFrame]:
    """The broker's own candles beside the captures, by instrument: timestamp, open, high, low, close, volume."""
    found = {}
    for file in sorted(folder.glob("*.I1_candles.csv")):
        exchange, _, token = file.name.removesuffix(".I1_candles.csv").rpartition("_")
        rows = pl.read_csv(file).rename({"minute_start_ms": "timestamp"})
        found[f"{exchange}|{token}"] = rows.select(_IST_TIME, *VALUES)
    return found


def exchange_candles() -> dict[str, pl.DataFrame]:
    """The simulated exchange's own, of every trade of the newest session; the same columns."""
    rows = [
        (f"{exchange}|{token}", start_ms, *candle[:5])
        for (exchange, token, start_ms), candle in sorted(
            sim_oracle.exchange_candles(SimulatedExchange(compose(settings()).feed.settings)).items()
        )
    ]
    frame = pl.DataFrame(rows, ["instrument", "timestamp", *VALUES], orient="row", infer_schema_length=None)
    parts = frame.partition_by("instrument", as_dict=True, include_key=False, maintain_order=True)
    return {name: part.with_columns(_IST_TIME) for (name,), part in parts.items()}


def _filled(runs: list[list[str]], version: str = "") -> Path:
    folder = FOLDER / _digest([version, runs])
    filled = folder / "filled.json"
    if not filled.exists():
        for run in runs:
            _python(
                "ray_ingest.main", *run, *QUIET, "metrics.port=null", f"redis.data_dir={folder / 'store'}"
            )
        filled.write_text(json.dumps(runs))
    return folder / "store"


def _python(module: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip() or done.stdout.strip())


def _version(path: Path) -> str:
    return f"{path.resolve()} {path.stat().st_mtime_ns}"


def _digest(of: object) -> str:
    return blake2b(json.dumps(of).encode(), digest_size=4).hexdigest()
