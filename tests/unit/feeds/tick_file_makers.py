"""Small tick files for tests, and their reading."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.feeds.tick_files import read_columns
from ray_ingest.model import TickColumns

HEADER = "exchange,token,event_time_ms,last_price,last_qty,day_volume,oi"
ROW = "NSE_FO,0123,1765770305000,100.5,5,1000,70"
TICK = {
    "exchange": "NSE_FO",
    "token": "0123",
    "event_time_ms": 1765770305000,
    "last_price": 100.5,
    "last_qty": 5,
    "day_volume": 1000,
    "oi": 70,
}


def write_csv(path: Path, *rows: str, header: str = HEADER) -> Path:
    """A CSV of these lines, compressed where the name says so."""
    text = "".join(f"{line}\n" for line in (header, *rows))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_parquet(path: Path, rows: int = 1, **columns: Any) -> Path:
    """A tick file of `rows` equal rows, single columns replaced, or left out where None."""
    whole = {name: [value] * rows for name, value in TICK.items()} | columns
    pq.write_table(pa.table({name: values for name, values in whole.items() if values is not None}), path)
    return path


def read(*paths: Path, rows_per_block: int = 65_536) -> tuple[InstrumentTable, list[TickColumns]]:
    """The files' blocks, and the table that their ids belong to."""
    table = InstrumentTable()
    return table, list(read_columns(paths, table, "replay", rows_per_block))
