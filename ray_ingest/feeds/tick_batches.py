"""Parquet and CSV files as Arrow batches of the tick columns: streamed, checked, faults named by place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ray_ingest.errors import InputError

TICK_SCHEMA = pa.schema(
    {
        "exchange": pa.string(),
        "token": pa.string(),
        "event_time_ms": pa.int64(),
        "last_price": pa.float64(),
        "last_qty": pa.int64(),
        "day_volume": pa.int64(),
        "oi": pa.int64(),
        "receive_time_ms": pa.int64(),
        "source": pa.string(),
    }
)
"""The columns of a tick file, all nullable; `OPTIONAL` ones may be left out, others besides are ignored."""

OPTIONAL = frozenset({"receive_time_ms", "source"})
NAME_COLUMNS = ("exchange", "token", "source")

READ_ERRORS = (pa.ArrowException, OSError, ValueError)
"""What Arrow raises on files that it can't read."""

_READ_BUFFER = 256 * 1024  # bytes that each Parquet column reads ahead: a row group is never loaded whole
_CELL_ERROR = re.compile(r"In CSV column #(\d+): Row #(\d+): CSV conversion error to ([^:]+): (.*)")


def unreadable(path: Path, error: BaseException) -> InputError:
    """The one-line error for a file whose reading raised `error`."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(f"{path}: can't be read: {' '.join(reason.split())[:300]}")


def tick_batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    """The tick columns of a Parquet or CSV file in batches of exactly `rows` rows but for the last.

    Integer columns may have any integer type, the price any number type, the token any integer type too.
    Raises InputError naming file and column for a missing or mistyped column, in a CSV also the row of a cell
    that can't be read; READ_ERRORS for a corrupt Parquet file.
    """
    if path.name.lower().endswith(".parquet"):
        return _regrouped(_parquet_batches(path, rows), rows)
    types = {field.name: field.type for field in TICK_SCHEMA}
    return _regrouped(csv_batches(path, types, OPTIONAL), rows)


def csv_batches(
    path: Path,
    types: Mapping[str, pa.DataType],
    optional: Collection[str] = (),
    header: Sequence[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The columns `types` of a CSV file (gzip-compressed if named .gz), about 1 MiB of text a batch.

    `header` names the columns of a file that has no header line. An empty cell is null. Raises InputError
    naming file and column for a missing column, and the row (the first line is row 1) for a cell that isn't
    of its column's type.
    """
    # On one thread, because only then does Arrow count the rows it names in errors.
    read = pa_csv.ReadOptions(use_threads=False, column_names=header)
    try:
        with pa_csv.open_csv(path, read_options=read) as reader:
            found = reader.schema.names
        present = _present(path, found, types, optional)
        convert = pa_csv.ConvertOptions(
            include_columns=present,
            column_types={name: types[name] for name in present},
            null_values=[""],
            strings_can_be_null=True,
        )
        with pa_csv.open_csv(path, read_options=read, convert_options=convert) as reader:
            yield from reader
    except READ_ERRORS as error:
        cell = _CELL_ERROR.match(str(error))
        if cell is None:
            raise unreadable(path, error) from None
        column, row, kind, reason = cell.groups()
        raise InputError(
            f"{path}: column {found[int(column)]!r}, row {row}: {reason[:120]}, expected {kind}"
        ) from None


def _regrouped(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `rows` rows but for the last."""
    pending: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        while held + len(batch) >= rows:
            lacking = rows - held
            yield _joined([*pending, batch[:lacking]])
            pending, held, batch = [], 0, batch[lacking:]
        pending.append(batch)
        held += len(batch)
    if held:
        yield _joined(pending)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _parquet_batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        schema, metadata = file.schema_arrow, file.metadata
    present = _present(path, schema.names, TICK_SCHEMA.names, OPTIONAL)
    for name in present:
        found = schema.field(name).type
        if not _fits(name, found):
            raise InputError(f"{path}: column {name!r} must be {_expected(name)}, not {found}")
    # Text stored as a dictionary is read as one: no string is built for each row.
    text = [name for name in NAME_COLUMNS if name in present and _is_text(schema.field(name).type)]
    with pq.ParquetFile(
        path, metadata=metadata, read_dictionary=text, pre_buffer=False, buffer_size=_READ_BUFFER
    ) as file:
        # These batches end at row groups too; hence regrouping.
        yield from file.iter_batches(batch_size=rows, columns=present, use_threads=False)


def _present(
    path: Path, found: Sequence[str], wanted: Collection[str], optional: Collection[str]
) -> list[str]:
    """The wanted columns that are there; InputError when a required one is not, or not just once."""
    missing = [
        name for name in wanted if found.count(name) != 1 and not (name in optional and name not in found)
    ]
    if missing:
        listed = ", ".join(found)[:200] or "nothing"
        raise InputError(f"{path}: column {missing[0]!r} must be there once; found {listed}")
    return [name for name in wanted if name in found]


def _expected(name: str) -> str:
    if name == "token":
        return "text or integers"
    return "text" if name in NAME_COLUMNS else "numbers" if name == "last_price" else "integers (int64)"


def _fits(name: str, found: pa.DataType) -> bool:
    if pa.types.is_null(found):
        return True
    if name in NAME_COLUMNS:
        return _is_text(found) or (name == "token" and pa.types.is_integer(found))
    return bool(pa.types.is_integer(found) or (name == "last_price" and pa.types.is_floating(found)))


def _is_text(found: pa.DataType) -> bool:
    value = found.value_type if pa.types.is_dictionary(found) else found
    return bool(
        pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)
    )
