"""`python -m ray_ingest.journal`: what is in journals, whether it is whole, what can be made of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ray_ingest.candles.ranges import instant_ms
from ray_ingest.clock import IST
from ray_ingest.command_line import OneLineParser, exit_code_of
from ray_ingest.convert import write_ticks
from ray_ingest.errors import ConfigError, JournalError
from ray_ingest.journal.check import verify
from ray_ingest.journal.export import Selection, tick_batches
from ray_ingest.journal.producer import ProducerFile, default_journal_dir
from ray_ingest.journal.reader import JournalReader

_FAULTY = 1
_COLUMNS = ("producer", "partitions", "offsets", "ticks", "bytes", "events from", "to (IST)", "written")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 when `verify` finds a fault, or that of the error whose one line
    goes to stderr."""

    def run() -> int:
        arguments = _parser().parse_args(argv)
        folder: Path = arguments.folder.expanduser()
        command: Callable[[JournalReader, argparse.Namespace], int] = arguments.command
        try:
            if not folder.is_dir():
                raise JournalError(f"{folder}: there is no such folder")
            return command(JournalReader(folder), arguments)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}") from None

    return exit_code_of(run)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="python -m ray_ingest.journal", description="The journals of a folder.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=OneLineParser)
    listing = commands.add_parser("list", help="the producers and what there is of each")
    listing.set_defaults(command=_list)
    checking = commands.add_parser("verify", help="look at every byte; exit code 1 and a line for each fault")
    checking.set_defaults(command=_verify)
    exporting = commands.add_parser("export", help="ticks as a file that feed=replay reads")
    exporting.add_argument("output", type=Path, metavar="FILE", help="a new .parquet or .csv file")
    exporting.add_argument("--exchange", help="of this exchange only, such as NSE_FO")
    exporting.add_argument("--token", help="of this token only")
    exporting.add_argument(
        "--from", dest="start", metavar="TIME", help="2026-11-20 or 2026-11-20T09:15, in IST"
    )
    exporting.add_argument("--to", dest="end", metavar="TIME", help="ticks before it; a date is its midnight")
    exporting.set_defaults(command=_export)
    rebuilding = commands.add_parser("rebuild", help="bring a store's candles to where the journals are")
    store = rebuilding.add_mutually_exclusive_group()
    store.add_argument("--url", help="address of the store: redis://…, rediss://… or unix://…")
    store.add_argument("--data-dir", type=Path, help="folder of the embedded store; without both, the user's")
    rebuilding.add_argument("--prefix", default="", help="redis.prefix of the store's keys")
    rebuilding.add_argument("--calendar", default="nse", choices=("nse", "continuous"))
    rebuilding.set_defaults(command=_rebuild)
    for command in (listing, checking, exporting, rebuilding):
        command.add_argument(
            "--folder", type=Path, default=default_journal_dir(), help="journal.folder, by default the user's"
        )
    for command in (checking, exporting):
        command.add_argument("--producer", help="of this producer only, as `list` names it")
    return parser


def _list(reader: JournalReader, arguments: argparse.Namespace) -> int:
    rows = [
        (
            info.producer,
            str(info.partitions),
            " ".join(f"{first}-{end}" for first, end in zip(info.first, info.end, strict=True)),
            str(sum(info.end) - sum(info.first)),
            str(info.size_bytes),
            _time(info.oldest_event_ms),
            _time(info.newest_event_ms),
            _time(info.newest_written_ms or None),
        )
        for info in reader.journals()
    ]
    if sys.stdout.isatty():
        table = Table(*_COLUMNS, box=None)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    else:
        for row in (_COLUMNS, *rows):
            print("\t".join(row))
    return 0


def _verify(reader: JournalReader, arguments: argparse.Namespace) -> int:
    faults = 0
    producers = _chosen(reader, arguments.producer)
    for producer in producers:
        for fault in verify(reader, producer):
            print(fault)
            faults += 1
    print(f"{len(producers)} journals, {faults} faults", file=sys.stderr)
    return _FAULTY if faults else 0


def _export(reader: JournalReader, arguments: argparse.Namespace) -> int:
    selection = Selection(
        arguments.exchange,
        arguments.token,
        instant_ms(arguments.start) if arguments.start else None,
        instant_ms(arguments.end) if arguments.end else None,
    )
    producers = _chosen(reader, arguments.producer)
    rows = write_ticks(tick_batches(reader, producers, selection), arguments.output)
    print(f"{arguments.output}: {rows:,} ticks")
    return 0


def _rebuild(reader: JournalReader, arguments: argparse.Namespace) -> int:
    from ray_ingest.config import compose  # these bring in Hydra and Ray's library: seconds
    from ray_ingest.journal.rebuild import partitions_of, rebuild
    from ray_ingest.mixing import check_rebuilding
    from ray_ingest.pipeline import plan_of
    from ray_ingest.store.opened import open_store

    settings = [f"calendar={arguments.calendar}", f"ingest.partitions={partitions_of(reader)}"]
    if arguments.url:
        settings += ["redis=url", f"redis.url={arguments.url}"]
    elif arguments.data_dir:
        settings.append(f"redis.data_dir={arguments.data_dir}")
    config = compose([*settings, f"redis.prefix={arguments.prefix}"])
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        open_store(config) as store,
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
    ):
        check_rebuilding(config, store.url, reader)
        task = bar.add_task("ticks", total=None)
        sent, present = rebuild(
            reader,
            plan_of(config, store.url, "").owners,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(f"{sent:,} ticks sent to the store, {present:,} were there already")
    return 0


def _chosen(reader: JournalReader, producer: str | None) -> list[ProducerFile]:
    producers = reader.producers()
    if producer is None:
        return producers
    chosen = [one for one in producers if one.producer == producer]
    if not chosen:
        known = ", ".join(one.producer for one in producers) or "none"
        raise ConfigError(f"--producer {producer}: there is {known}")
    return chosen


def _time(instant: int | None) -> str:
    """Epoch ms as people read it in India."""
    return (
        "" if instant is None else datetime.fromtimestamp(instant / 1000, IST).strftime("%Y-%m-%d %H:%M:%S")
    )


if __name__ == "__main__":
    sys.exit(main())
