"""Turn captures into tick files that `feed=replay` reads: `python -m ray_ingest.convert --help`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ray_ingest.command_line import OneLineParser
from ray_ingest.core.instruments import split_name
from ray_ingest.errors import ConfigError, RayIngestError
from ray_ingest.feeds.tick_batches import READ_ERRORS, TICK_SCHEMA, csv_batches, unreadable
from ray_ingest.feeds.upstox_capture import upstox_rows

BATCH_ROWS = 65_536


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the converter; returns the process's exit code."""
    try:
        options = _parser().parse_args(arguments)
        skipped: Counter[str] = Counter()
        batches = (
            upstox_batches(options.inputs, options.time_zone, skipped)
            if options.format == "upstox-v3"
            else wall_clock_batches(options)
        )
        rows = write_ticks(batches, options.output)
    except RayIngestError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    reasons = ", ".join(f"{count} × {reason}" for reason, count in sorted(skipped.items()))
    print(f"{options.output}: {rows} ticks; skipped: {reasons or 'none'}")
    return 0


def upstox_batches(paths: Sequence[Path], zone: ZoneInfo, skipped: Counter[str]) -> Iterator[pa.RecordBatch]:
    """The ticks of Upstox V3 captures in batches of `TICK_SCHEMA`; see `upstox_rows`."""
    rows = upstox_rows(paths, zone, skipped)
    while chunk := list(islice(rows, BATCH_ROWS)):
        columns = zip(TICK_SCHEMA, zip(*chunk, strict=True), strict=True)
        yield pa.record_batch([pa.array(values, field.type) for field, values in columns], TICK_SCHEMA)


def wall_clock_batches(options: argparse.Namespace) -> Iterator[pa.RecordBatch]:
    """The rows of CSV files of one instrument, whose times are wall-clock texts, in batches of `TICK_SCHEMA`.

    Columns that the files lack are null. Raises InputError for a cell that can't be read.
    """
    exchange, token = options.instrument
    types = {options.time_column: pa.timestamp("ms"), options.price_column: pa.float64()}
    if options.volume_column:
        types[options.volume_column] = pa.int64()
    for path in options.inputs:
        for batch in csv_batches(path, types, header=options.header):
            try:
                zoned = pc.assume_timezone(batch.column(options.time_column), str(options.time_zone))
            except READ_ERRORS as error:
                raise unreadable(path, error) from None
            known = {
                "exchange": pa.repeat(exchange, len(batch)),
                "token": pa.repeat(token, len(batch)),
                "event_time_ms": zoned.cast(pa.int64()),
                "last_price": batch.column(options.price_column),
            }
            if options.volume_column:
                known["day_volume"] = batch.column(options.volume_column)
            columns = [known.get(field.name, pa.nulls(len(batch), field.type)) for field in TICK_SCHEMA]
            yield pa.record_batch(columns, TICK_SCHEMA)


def write_ticks(batches: Iterable[pa.RecordBatch], output: Path) -> int:
    """Write batches of `TICK_SCHEMA` to a new .parquet or .csv file; returns the number of rows.

    The file appears under its name only when it is complete. Raises ConfigError when the name won't do.
    """
    if output.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"{output}: the last argument is the file to write: .parquet or .csv")
    if output.exists():
        raise ConfigError(f"{output} exists already: remove it or write another file")
    partial = output.with_name(output.name + ".partial")
    open_writer = pq.ParquetWriter if output.suffix == ".parquet" else pa_csv.CSVWriter
    rows = 0
    try:
        with open_writer(partial, TICK_SCHEMA) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += len(batch)
        partial.replace(output)
    except OSError as error:
        raise ConfigError(f"{output}: can't be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _parser() -> OneLineParser:
    parser = OneLineParser(prog="python -m ray_ingest.convert", description=__doc__)
    formats = parser.add_subparsers(dest="format", required=True, metavar="FORMAT")
    upstox = formats.add_parser("upstox-v3", help="JSON captures of the Upstox V3 feed")
    text = formats.add_parser("csv", help="CSV files of one instrument, with wall-clock times")
    for command in (upstox, text):
        command.add_argument(
            "inputs", nargs="+", type=Path, metavar="INPUT", help="files to read, .gz or not"
        )
        command.add_argument("output", type=Path, metavar="OUTPUT", help="file to write: .parquet or .csv")
        command.add_argument(
            "--time-zone",
            type=_time_zone,
            default="Asia/Kolkata",
            metavar="ZONE",
            help="time zone of wall-clock times (Asia/Kolkata)",
        )
    text.add_argument("--instrument", type=_instrument, required=True, metavar="EXCHANGE|TOKEN")
    text.add_argument(
        "--time-column", default="timestamp", metavar="NAME", help='times (default "timestamp")'
    )
    text.add_argument("--price-column", default="ltp", metavar="NAME", help='prices (default "ltp")')
    text.add_argument(
        "--volume-column", metavar="NAME", help="cumulative day volumes; leave out for an index"
    )
    text.add_argument(
        "--header",
        type=lambda names: names.split(","),
        metavar="NAME,NAME…",
        help="the column names of files without a header line",
    )
    return parser


def _time_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{name!r} is no time zone (such as Asia/Kolkata)") from None


def _instrument(name: str) -> tuple[str, str]:
    try:
        return split_name(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
