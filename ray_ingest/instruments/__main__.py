"""`python -m ray_ingest.instruments`: fetch the brokers' masters, look things up in them, report on them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from ray_ingest.clock import today
from ray_ingest.command_line import OneLineParser, exit_code_of
from ray_ingest.errors import ConfigError, RayIngestError
from ray_ingest.instruments.fetching import URLS, download
from ray_ingest.instruments.listing import Instruments
from ray_ingest.instruments.masters import BROKERS, files_in, read_masters
from ray_ingest.instruments.selection import read_list, select, spots_of
from ray_ingest.instruments.stored import default_instruments_dir, write_master
from ray_ingest.instruments.tables import (
    INSTRUMENT_COLUMNS,
    INSTRUMENT_NUMBERS,
    instrument_rows,
    segment_counts,
    show,
    unmapped_reasons,
)

_FAILED = 1
_LONGEST = 40


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 when `find` finds nothing, or that of the error whose one line
    goes to stderr: 2 for bad input, 1 when a broker's file can't be had."""

    def run() -> int:
        arguments = _parser().parse_args(argv)
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)

    return exit_code_of(run)


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m ray_ingest.instruments",
        description="The brokers' instrument masters: fetch them, look things up in them.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=OneLineParser)

    fetching = commands.add_parser("fetch", help="store the brokers' masters of a day")
    fetching.add_argument("--broker", action="append", choices=BROKERS, help="only this one; may be repeated")
    fetching.add_argument(
        "--from",
        dest="places",
        nargs="+",
        type=Path,
        metavar="FOLDER|FILE",
        help="from files, not from the brokers",
    )
    fetching.set_defaults(command=_fetch)

    listing = commands.add_parser("list", help="what names, patterns and rules mean; without any, everything")
    listing.add_argument(
        "texts", nargs="*", metavar="TEXT", help="such as 'NIFTY nearest weekly ± 10 strikes'"
    )
    listing.add_argument("--file", type=Path, help="texts from a file, one a line")
    listing.add_argument(
        "--spot", action="append", default=[], metavar="NIFTY=26010", help="where strikes are counted from"
    )
    listing.add_argument("--broker", choices=BROKERS, help="only what this broker has")
    listing.set_defaults(command=_list)

    finding = commands.add_parser("find", help="instruments in which all of these words occur")
    finding.add_argument("text", nargs="+", metavar="TEXT")
    finding.set_defaults(command=_find)

    showing = commands.add_parser("show", help="all that is known of one instrument")
    showing.add_argument("text", metavar="NAME", help="a name, or any broker's spelling of it")
    showing.set_defaults(command=_show)

    reporting = commands.add_parser("report", help="names by segment and broker; what has none, and why")
    reporting.set_defaults(command=_report)

    for command in (fetching, listing, finding, showing, reporting):
        command.add_argument(
            "--folder", type=Path, default=default_instruments_dir(), help="where masters are stored"
        )
        command.add_argument(
            "--date", type=_day, help="of this day, as YYYY-MM-DD; by default today in India"
        )
    return parser


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write the day as YYYY-MM-DD") from None


def _fetch(arguments: argparse.Namespace) -> int:
    day: date = arguments.date or today()
    folder: Path = arguments.folder.expanduser()
    wanted: list[str] = arguments.broker or list(BROKERS)
    if arguments.places:
        return _store(folder, day, wanted, files_in(place.expanduser() for place in arguments.places))
    code = 0
    for broker in wanted:  # one that can't be had doesn't keep the others away
        try:
            with TemporaryDirectory() as temporary:
                _store(folder, day, [broker], download(URLS[broker], Path(temporary)))
        except RayIngestError as error:
            print(error, file=sys.stderr)
            code = error.exit_code
    return code


def _store(folder: Path, day: date, wanted: Sequence[str], files: Sequence[Path]) -> int:
    masters = {broker: master for broker, master in read_masters(files).items() if broker in wanted}
    if not masters:
        raise ConfigError(f"no master of {' or '.join(wanted)} in these files")
    for broker, master in masters.items():
        path = write_master(folder, day, broker, master)
        print(f"{path}: {len(master):,} instruments, {master['name'].count():,} of them with a name")
    return 0


def _loaded(arguments: argparse.Namespace) -> Instruments:
    return Instruments.load(arguments.folder.expanduser(), arguments.date)


def _list(arguments: argparse.Namespace) -> int:
    instruments = _loaded(arguments)
    texts = [*arguments.texts, *(read_list(arguments.file) if arguments.file else [])]
    day = arguments.date or today()
    spots = spots_of(arguments.spot)
    names = select(texts, instruments, day, spots) if texts else instruments.names()
    missing = set(instruments.missing(names, arguments.broker)) if arguments.broker else set()
    _print(instruments, [name for name in names if name not in missing])
    if missing and texts:
        examples = ", ".join(sorted(missing)[:3])
        print(f"{arguments.broker} lacks {len(missing):,} of {len(names):,}: {examples} …", file=sys.stderr)
    return 0


def _find(arguments: argparse.Namespace) -> int:
    instruments = _loaded(arguments)
    names = instruments.find(" ".join(arguments.text))
    _print(instruments, names)
    return 0 if names else _FAILED


def _print(instruments: Instruments, names: Sequence[str]) -> None:
    shown = names[:_LONGEST] if sys.stdout.isatty() else names
    if shown:
        show(INSTRUMENT_COLUMNS, instrument_rows(instruments, shown), INSTRUMENT_NUMBERS)
    rest = f", the first {len(shown)} shown (all in a pipe)" if len(shown) < len(names) else ""
    print(f"{len(names):,} instruments{rest}", file=sys.stderr)


def _show(arguments: argparse.Namespace) -> int:
    instruments = _loaded(arguments)
    (name,) = select([arguments.text], instruments, arguments.date or today())[:1]
    contract = instruments.contract(name)
    rows: list[tuple[object, object]] = [*asdict(contract).items(), ("identity", contract.identity)]
    for broker, master in instruments.masters.items():
        keys = [subscription.key for subscription in instruments.subscriptions([name], broker)]
        rows.append((f"{broker} ({master.day})", keys[0] if keys else "hasn't got it"))
    show(("", name), rows)
    return 0


def _report(arguments: argparse.Namespace) -> int:
    instruments = _loaded(arguments)
    brokers = list(instruments.masters)
    show(
        ("broker", "master of", "rows", "with a name"),
        (
            (
                broker,
                master.day,
                len(instruments.mapped(broker)) + len(instruments.unmapped(broker)),
                len(instruments.mapped(broker)),
            )
            for broker, master in instruments.masters.items()
        ),
        ("rows", "with a name"),
    )
    print()
    show(
        ("segment", *brokers, "in all of them", "names"),
        segment_counts(instruments),
        (*brokers, "in all of them", "names"),
    )
    print()
    show(("broker", "without a name", "why", "such as"), unmapped_reasons(instruments), ("without a name",))
    return 0


if __name__ == "__main__":
    sys.exit(main())
