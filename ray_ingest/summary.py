"""What a run shows at its end: the latest candles, a chart, how to query them, the totals, the verdict."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ray_ingest.candles import Candles
from ray_ingest.config import AppConfig, SimFeedConfig
from ray_ingest.report import Report
from ray_ingest.store.records import Candle
from ray_ingest.store.redis import redact_url
from ray_ingest.terminal import candle_chart, latest_table
from ray_ingest.verify import WrongCandlesError, can_verify, verify

_WHOLE_LINES: Any = {"highlight": False, "soft_wrap": True}
_WRAPPED: Any = {"highlight": False}
SHOWN = 8
CHART_HEIGHT = 14
CHART_WIDTH = 100


def show_summary(console: Console, config: AppConfig, report: Report, url: str, *, stopped: bool) -> None:
    """Print it all; `stopped` says that the run was ended by a signal, with ticks still to come.

    Raises WrongCandlesError when the store differs from the simulated exchange's oracle.
    """
    with Candles(url, prefix=config.redis.prefix) as candles:
        latest = _most_telling(candles.latest(candles.instruments()))
        if latest:
            name = latest[0].instrument
            console.print(latest_table(latest, "latest candles"))
            width = min(console.width, CHART_WIDTH)
            chart = candle_chart(candles.history(name), name, width, CHART_HEIGHT, colour=console.is_terminal)
            console.print(Text.from_ansi(chart))
            console.print("\nquery them:")
            console.print(f"  {_command(config)} history {shlex.quote(name)}", **_WHOLE_LINES, markup=False)
            console.print(f"  {_interpreter()} -c {_python(config, name)}", **_WHOLE_LINES, markup=False)
    console.print(_totals(report), **_WRAPPED)
    if stopped:
        console.print("stopped early; the same command goes on from here, unless redis.fresh=true")
    elif report.ticks_already_committed and not report.ticks_applied:
        console.print("nothing was applied: all of it had been committed by an earlier run")
    if not stopped and isinstance(config.feed, SimFeedConfig):
        _show_verdict(console, config, config.feed, url)


def _show_verdict(console: Console, config: AppConfig, feed: SimFeedConfig, url: str) -> None:
    why_not = can_verify(config, url)
    if why_not:
        console.print(f"candles not compared: {why_not}")
        return
    verdict = verify(feed.settings, config.calendar["name"] == "continuous", url, config.redis.prefix)
    share = 100 * verdict.equal_to_exchange / max(verdict.expected, 1)
    console.print(
        f"{verdict.equal:,} of {verdict.expected:,} candles equal the oracle's; "
        f"{share:.1f} % also equal the exchange's own",
        **_WRAPPED,
    )
    if verdict.equal != verdict.expected or verdict.extra:
        raise WrongCandlesError(
            f"{verdict.expected - verdict.equal} candles are wrong or missing, {verdict.extra} too many or "
            f"not closed{': ' * bool(verdict.wrong)}{'; '.join(verdict.wrong)}"
        )


def _most_telling(latest: Mapping[str, Candle | None]) -> list[Candle]:
    """The busiest instruments of every kind, indices first: they are what a trader looks at first."""
    by_exchange: dict[str, list[Candle]] = {}
    for candle in sorted(filter(None, latest.values()), key=lambda candle: -candle.ticks):
        by_exchange.setdefault(candle.instrument.partition("|")[0], []).append(candle)
    order = sorted(by_exchange, key=lambda exchange: (not exchange.endswith("_INDEX"), exchange))
    chosen: list[Candle] = []
    while len(chosen) < SHOWN and any(by_exchange.values()):
        chosen += [by_exchange[exchange].pop(0) for exchange in order if by_exchange[exchange]]
    return chosen[:SHOWN]


def _interpreter() -> str:
    """This Python as a person in this folder would call it."""
    path = Path(sys.executable)
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _command(config: AppConfig) -> str:
    redis, command = config.redis, f"{_interpreter()} -m ray_ingest.candles"
    if redis.kind == "url":
        command += f" --url {shlex.quote(redact_url(str(redis.url)))}"
    elif redis.data_dir:
        command += f" --data-dir {shlex.quote(redis.data_dir)}"
    return command + (f" --prefix {shlex.quote(redis.prefix)}" if redis.prefix else "")


def _python(config: AppConfig, name: str) -> str:
    """A line of Python as the shell takes it."""
    redis, given = config.redis, []
    if redis.kind == "url":
        given.append(repr(redact_url(str(redis.url))))
    elif redis.data_dir:
        given.append(f"data_dir={redis.data_dir!r}")
    if redis.prefix:
        given.append(f"prefix={redis.prefix!r}")
    code = f"from ray_ingest import Candles; print(Candles({', '.join(given)}).history({name!r}))"
    return shlex.quote(code) if set(code) & set('"$`\\!') else f'"{code}"'


def _totals(report: Report) -> str:
    parts = {
        "applied": report.ticks_applied,
        "repeated": report.ticks_repeated,
        "already committed": report.ticks_already_committed,
        "filtered": report.ticks_filtered,
        "rejected": sum(report.ticks_rejected.values()),
    }
    sum_ = " + ".join(f"{number:,} {name}" for name, number in parts.items() if number or name == "applied")
    lines = [
        f"\n{report.ticks_in:,} ticks in = {sum_}",
        f"{report.candles_closed:,} candles closed, {report.candles_amended:,} amended, of "
        f"{report.instruments:,} instruments in {report.wall_s:.1f} s ({report.ticks_per_s:,.0f} ticks/s)",
    ]
    if report.ticks_rejected:
        lines.append(f"rejected: {_counts(report.ticks_rejected)}")
    if report.ticks_without_candle:
        lines.append(f"volume only, in phases without candles: {_counts(report.ticks_without_candle)}")
    if report.instruments_unclassified:
        lines.append(
            f"{report.instruments_unclassified:,} instruments of unknown class: "
            "the widest phases of their segment"
        )
    if report.restarts:
        lines.append(f"{report.restarts:,} restarts of actors")
    return "\n".join(lines)


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(numbers.items()))
