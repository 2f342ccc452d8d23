"""Ticks from Parquet and CSV files as raw columns; names cost time per distinct instrument, not per tick."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import blake2b, file_digest
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.errors import InputError
from ray_ingest.feeds.tick_batches import NAME_COLUMNS, READ_ERRORS, tick_batches, unreadable
from ray_ingest.model import NULL, TickColumns

SUFFIXES = (".parquet", ".csv", ".csv.gz")
"""How the name of a tick file ends, in upper or lower case."""


def tick_file_paths(path: Path) -> list[Path]:
    """The tick files `path` stands for: itself, or a folder's tick files in name order.

    Raises InputError when there is nothing to read: no such path, a folder without tick files, a file whose
    name doesn't end in one of `SUFFIXES`.
    """
    try:
        if path.is_dir():
            files = [entry for entry in path.iterdir() if _is_tick_file(entry)]
        else:
            path.stat()
            files = [path] if _is_tick_file(path) else []
    except OSError as error:
        raise unreadable(path, error) from None
    if not files:
        lacks = "holds no file" if path.is_dir() else "is not a file"
        raise InputError(f"{path}: {lacks} whose name ends in {', '.join(SUFFIXES)}")
    return sorted(files, key=lambda file: file.name)


def _is_tick_file(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def content_identity(paths: Sequence[Path]) -> str:
    """What the files hold, as 32 hex digits: BLAKE2b of their names (without folders) and contents, in order.

    Raises InputError when a file can't be read.
    """
    whole = blake2b(digest_size=16)
    for path in paths:
        try:
            with path.open("rb") as file:
                content = file_digest(file, blake2b).digest()
        except OSError as error:
            raise unreadable(path, error) from None
        name = os.fsencode(path.name)
        whole.update(len(name).to_bytes(4, "little") + name + content)
    return whole.hexdigest()


def read_columns(
    paths: Sequence[Path], table: InstrumentTable, default_source: str, rows_per_block: int = 65_536
) -> Iterator[TickColumns]:
    """The files' ticks in file order, in blocks of exactly `rows_per_block` rows but for each file's last.

    New instruments are interned in the order of their first rows, so ids and blocks are the same in every
    run; a file is streamed, never loaded whole. A null or empty source is `default_source`; a null exchange
    or token is "" (a fault of the table); a null price is NaN, a null integer `NULL`.

    Raises InputError, at the latest when the faulty block is reached, with the file and, where there is one,
    the column and (in a CSV) the row at fault.
    """
    for path in paths:
        try:
            for batch in tick_batches(path, rows_per_block):
                yield _columns(batch, table, default_source)
        except READ_ERRORS as error:
            raise unreadable(path, error) from None


def _columns(batch: pa.RecordBatch, table: InstrumentTable, default_source: str) -> TickColumns:
    price = pc.fill_null(batch.column("last_price").cast(pa.float64()), np.nan)
    return TickColumns(
        instrument=_instruments(batch, table, default_source),
        event_time_ms=_integers(batch, "event_time_ms"),
        last_price=price.to_numpy(),
        last_qty=_integers(batch, "last_qty"),
        day_volume=_integers(batch, "day_volume"),
        oi=_integers(batch, "oi"),
        receive_time_ms=_integers(batch, "receive_time_ms"),
    )


def _integers(batch: pa.RecordBatch, name: str) -> npt.NDArray[np.int64]:
    if name not in batch.schema.names:
        return np.full(len(batch), NULL, np.int64)
    filled: npt.NDArray[np.int64] = pc.fill_null(batch.column(name).cast(pa.int64()), int(NULL)).to_numpy()
    return filled


def _instruments(
    batch: pa.RecordBatch, table: InstrumentTable, default_source: str
) -> npt.NDArray[np.uint32]:
    """The rows' instrument ids: each distinct (exchange, token, source) is interned once, in row order."""
    codes, values = zip(*(_encoded(batch, name) for name in NAME_COLUMNS), strict=True)
    shape = tuple(map(len, values))
    rows = pa.array(np.ravel_multi_index(codes, shape)).dictionary_encode()  # keeps the order of first sight
    distinct = np.unravel_index(rows.dictionary.to_numpy(), shape)
    names = [texts.take(pa.array(chosen)).to_pylist() for texts, chosen in zip(values, distinct, strict=True)]
    ids = [
        table.intern(exchange or "", token or "", source or default_source)
        for exchange, token, source in zip(*names, strict=True)
    ]
    instrument: npt.NDArray[np.uint32] = np.array(ids, np.uint32)[rows.indices.to_numpy()]
    return instrument


def _encoded(batch: pa.RecordBatch, name: str) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """A column as codes into an array of texts, whose last entry stands for null."""
    column = batch.column(name) if name in batch.schema.names else pa.nulls(len(batch), pa.string())
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    texts = pa.concat_arrays([column.dictionary.cast(pa.string()), pa.nulls(1, pa.string())])
    codes = pc.fill_null(column.indices.cast(pa.int64()), len(texts) - 1)
    return codes.to_numpy(), texts
