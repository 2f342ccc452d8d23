"""`python -m ray_ingest.candles`: the read API in a terminal, as tab-separated values in a pipe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import fields
from datetime import datetime
from math import inf
from pathlib import Path

import polars as pl
from rich.console import Console

from ray_ingest.candles.api import INTERVALS, Candles
from ray_ingest.candles.one_line import nothing_in
from ray_ingest.command_line import exit_code_of
from ray_ingest.errors import UnknownInstrumentError
from ray_ingest.store.records import Candle
from ray_ingest.terminal import (
    FOLLOWED_HEAD,
    candle_chart,
    followed_line,
    gaps_table,
    history_table,
    latest_table,
)

_CHART_HEIGHT = 24


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or that of the error whose one line goes to stderr."""
    arguments = _parser().parse_args(argv)
    command: Callable[[Candles, argparse.Namespace], None] = arguments.command

    def answer() -> int:
        with Candles(arguments.url, prefix=arguments.prefix, data_dir=arguments.data_dir) as candles:
            try:
                command(candles, arguments)
            except UnknownInstrumentError as error:
                raise UnknownInstrumentError(str(error).replace("`instruments()`", "`list`")) from None
        return 0

    return exit_code_of(answer)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ray_ingest.candles",
        description="Show candles of a store; without --url, of the embedded one.",
    )
    store = parser.add_mutually_exclusive_group()
    store.add_argument("--url", help="address of the store: redis://…, rediss://… or unix://…")
    store.add_argument("--data-dir", type=Path, help="folder of the embedded store")
    parser.add_argument("--prefix", default="", help="redis.prefix of the store's keys")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    commands.add_parser("list", help="all instruments").set_defaults(command=_list)
    for name, text in (("latest", "the newest candle"), ("confirmed", "the last closed candle")):
        several = commands.add_parser(name, help=f"{text} of these instruments, or of all")
        several.add_argument("instruments", nargs="*", metavar="INSTRUMENT")
        several.set_defaults(command=_newest, which=name)
    for name, text, command in (
        ("history", "the candles of a range", _history),
        ("chart", "a candle chart of a range", _chart),
    ):
        ranged = commands.add_parser(name, help=f"{text}, by default of the newest session day")
        ranged.add_argument("instrument", metavar="INSTRUMENT", help="such as 'NSE_FO|8765'")
        ranged.add_argument("--start", help="2026-11-20 or 2026-11-20T09:15, in IST")
        ranged.add_argument("--end", help="the range ends before it; a date is its midnight")
        ranged.set_defaults(command=command)
        if command is _history:
            ranged.add_argument("--interval", default=INTERVALS[0], help=f"one of {', '.join(INTERVALS)}")
            form = ranged.add_mutually_exclusive_group()
            form.add_argument("--csv", action="store_true", help="comma-separated values")
            form.add_argument("--json", action="store_true", help="one JSON object a line")
    gaps = commands.add_parser("gaps", help="intervals in which ticks are known to be missing")
    gaps.add_argument("--start", help="only those that last until then or longer; as for history")
    gaps.add_argument("--end", help="only those that began before it")
    gaps.set_defaults(command=_gaps)
    closing = commands.add_parser("force-close", help="make the running candle final now")
    closing.add_argument("instrument", metavar="INSTRUMENT", help="such as 'NSE_FO|8765'")
    closing.set_defaults(command=_force_close)
    follow = commands.add_parser(
        "follow", help="closed candles of these instruments, or of all, as they come"
    )
    follow.add_argument("instruments", nargs="*", metavar="INSTRUMENT")
    follow.add_argument("--from-id", default="$", help="$ (new ones), 0 (all kept), a stream id or epoch ms")
    follow.set_defaults(command=_follow)
    return parser


def _list(candles: Candles, arguments: argparse.Namespace) -> None:
    for name in _instruments(candles):
        print(name)


def _newest(candles: Candles, arguments: argparse.Namespace) -> None:
    read = candles.latest if arguments.which == "latest" else candles.confirmed
    found = read(arguments.instruments or _instruments(candles))
    rows = [candle for candle in found.values() if candle is not None]
    if sys.stdout.isatty():
        if rows:
            Console().print(latest_table(rows))
        elif found:
            _note("no candle of these is there yet")
        oldest_s = max((candles.age_s(candle.instrument) for candle in rows), default=inf)
        if oldest_s < inf:
            print(f"last committed {oldest_s:.1f} s ago")
        return
    print("\t".join(field.name for field in fields(Candle)))
    for candle in rows:
        print(_line(candle))


def _history(candles: Candles, arguments: argparse.Namespace) -> None:
    frame = candles.history(arguments.instrument, arguments.start, arguments.end, arguments.interval)
    text = frame.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%S%:z"))
    if arguments.json:
        print(text.write_ndjson(), end="")
    elif arguments.csv:
        print(text.write_csv(), end="")
    elif not sys.stdout.isatty():
        print(text.write_csv(separator="\t"), end="")
    elif frame.is_empty():
        _note(f"{arguments.instrument} has no candles in that range")
    else:
        Console().print(history_table(frame))


def _gaps(candles: Candles, arguments: argparse.Namespace) -> None:
    frame = candles.gaps(arguments.start, arguments.end)
    if sys.stdout.isatty():
        if frame.is_empty():
            _note("no gaps are known in that range")
        else:
            Console().print(gaps_table(frame))
        return
    shown = frame.with_columns(pl.col("start", "end").dt.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z"))
    print(shown.write_csv(separator="\t"), end="")


def _chart(candles: Candles, arguments: argparse.Namespace) -> None:
    frame = candles.history(arguments.instrument, arguments.start, arguments.end)
    console = Console()
    print(
        candle_chart(
            frame,
            arguments.instrument,
            console.width,
            min(console.height - 1, _CHART_HEIGHT) if console.is_terminal else _CHART_HEIGHT,
            colour=console.is_terminal and not console.no_color,
        )
    )


def _follow(candles: Candles, arguments: argparse.Namespace) -> None:
    with closing(candles.follow(arguments.instruments or None, from_id=arguments.from_id)) as closed:
        line = followed_line if sys.stdout.isatty() else _line
        if line is followed_line:
            print(FOLLOWED_HEAD, flush=True)
        for candle in closed:
            print(line(candle), flush=True)


def _force_close(candles: Candles, arguments: argparse.Namespace) -> None:
    candle = candles.force_close(arguments.instrument)
    print(_line(candle) if candle else "no candle is running")


def _instruments(candles: Candles) -> list[str]:
    """All there are; where there are none, that is said."""
    names = candles.instruments()
    if not names:
        _note(nothing_in(candles.where))
    return names


def _note(text: str) -> None:
    """Beside the answer, which stays empty for whoever reads it in a pipe."""
    print(text, file=sys.stderr)


def _line(candle: Candle) -> str:
    """The candle's fields separated by tabs, in `Candle`'s order; null is empty."""
    return "\t".join(_text(getattr(candle, field.name)) for field in fields(candle))


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat()
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
