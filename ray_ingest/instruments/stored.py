"""Masters on disk: `<folder>/<YYYY-MM-DD>/<broker>.parquet`, the day being the one they are valid on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
from platformdirs import user_state_path

from ray_ingest.instruments.columns import SCHEMA
from ray_ingest.instruments.errors import MastersError
from ray_ingest.instruments.masters import BROKERS


@dataclass(frozen=True, slots=True)
class Master:
    """Where a broker's master of `day` is."""

    day: date
    path: Path

    def read(self) -> pl.DataFrame:
        """Columns of SCHEMA. Raises MastersError."""
        try:
            return pl.read_parquet(self.path, columns=list(SCHEMA))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise MastersError(f"{self.path}: {str(error).splitlines()[0]}: fetch it again") from None


def default_instruments_dir() -> Path:
    """Where masters are when no folder is given: `instruments` in the user's state folder."""
    return user_state_path("ray-ingest", appauthor=False) / "instruments"


def write_master(folder: Path, day: date, broker: str, master: pl.DataFrame) -> Path:
    """Store a master, whole or not at all, in place of one of that day. Raises MastersError."""
    path = folder / day.isoformat() / f"{broker}.parquet"
    unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        master.write_parquet(unfinished)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise MastersError(f"{path}: {error.strerror or error}") from None
    return path


def newest(folder: Path, not_after: date) -> dict[str, Master]:
    """Of each broker that has one, its newest master of a day not after this one; in BROKERS' order."""
    found: dict[str, Master] = {}
    for day in sorted(_days(folder), reverse=True):
        for broker in BROKERS:
            path = folder / day.isoformat() / f"{broker}.parquet"
            if day <= not_after and broker not in found and path.is_file():
                found[broker] = Master(day, path)
    return {broker: found[broker] for broker in BROKERS if broker in found}


def _days(folder: Path) -> list[date]:
    days = []
    for entry in folder.glob("????-??-??"):
        try:
            days.append(date.fromisoformat(entry.name))
        except ValueError:
            continue
    return days
