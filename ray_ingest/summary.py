"""What a run shows at its end: the latest candles, a chart, how to query them, the totals, the verdict."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from ray_ingest.candles import Candles
from ray_ingest.config import AppConfig, SimFeedConfig
from ray_ingest.report import Report
from ray_ingest.terminal import candle_chart, latest_table
from ray_ingest.verify import WrongCandlesError, can_verify, verify

_AS_IT_IS: Any = {"highlight": False, "soft_wrap": True}
SHOWN = 8
CHART_HEIGHT = 14


def show_summary(console: Console, config: AppConfig, report: Report, url: str) -> None:
    """Print it all. Raises WrongCandlesError when the store differs from the simulated exchange's oracle."""
    with Candles(url, prefix=config.redis.prefix) as candles:
        names = _most_telling(candles)
        latest = [candle for candle in candles.latest(names).values() if candle is not None]
        if latest:
            console.print(latest_table(latest, "latest candles"))
            frame = candles.history(names[0])
            width = min(console.width, 100)
            chart = candle_chart(frame, names[0], width, CHART_HEIGHT, colour=console.is_terminal)
            console.print(Text.from_ansi(chart))
            code = f"from ray_ingest import Candles; print({_api(config)}.history('{names[0]}'))"
            console.print(f"\nquery them:\n  {_where(config)} history '{names[0]}'", **_AS_IT_IS)
            console.print(f'  python -c "{code}"', **_AS_IT_IS)
    console.print(_totals(report), **_AS_IT_IS)
    if report.ticks_already_committed and not report.ticks_applied:
        console.print("nothing was applied: all of it had been committed by an earlier run")
    why_not = can_verify(config, url)
    if why_not or not isinstance(config.feed, SimFeedConfig):
        if isinstance(config.feed, SimFeedConfig):
            console.print(f"candles not compared: {why_not}")
        return
    verdict = verify(config.feed.settings, config.calendar["name"] == "continuous", url, config.redis.prefix)
    share = 100 * verdict.equal_to_exchange / max(verdict.expected, 1)
    console.print(
        f"{verdict.equal:,} of {verdict.expected:,} candles equal the oracle's; "
        f"{share:.1f} % also equal the exchange's own",
        highlight=False,
    )
    if verdict.equal != verdict.expected or verdict.extra:
        raise WrongCandlesError(
            f"{verdict.expected - verdict.equal} candles are wrong or missing and {verdict.extra} too many, "
            f"such as {'; '.join(verdict.wrong)}"
        )


def _most_telling(candles: Candles) -> list[str]:
    """A few instruments of every kind, indices first: they are what a trader looks at first."""
    by_exchange: dict[str, list[str]] = {}
    for name in candles.instruments():
        by_exchange.setdefault(name.partition("|")[0], []).append(name)
    order = sorted(by_exchange, key=lambda exchange: (not exchange.endswith("_INDEX"), exchange))
    chosen: list[str] = []
    while len(chosen) < SHOWN and any(by_exchange.values()):
        chosen += [by_exchange[exchange].pop(0) for exchange in order if by_exchange[exchange]]
    return chosen[:SHOWN]


def _where(config: AppConfig) -> str:
    if config.redis.kind == "url":
        return f"python -m ray_ingest.candles --url {config.redis.url}"
    folder = f" --data-dir {config.redis.data_dir}" if config.redis.data_dir else ""
    return f"python -m ray_ingest.candles{folder}"


def _api(config: AppConfig) -> str:
    if config.redis.kind == "url":
        return f"Candles('{config.redis.url}')"
    return f"Candles(data_dir='{config.redis.data_dir}')" if config.redis.data_dir else "Candles()"


def _totals(report: Report) -> str:
    rejected = ", ".join(f"{number:,} {reason}" for reason, number in sorted(report.ticks_rejected.items()))
    without = ", ".join(
        f"{number:,} {phase}" for phase, number in sorted(report.ticks_without_candle.items())
    )
    lines = [
        f"\n{report.ticks_in:,} ticks in = {report.ticks_applied:,} applied"
        f" + {report.ticks_repeated:,} repeated"
        f" + {report.ticks_already_committed:,} already committed + {report.ticks_filtered:,} filtered"
        f" + {sum(report.ticks_rejected.values()):,} rejected{f' ({rejected})' if rejected else ''}",
        f"{report.candles_closed:,} candles closed, {report.candles_amended:,} amended, of "
        f"{report.instruments:,} instruments in {report.wall_s:.1f} s",
    ]
    if without:
        lines.append(f"applied to the volume only, in phases without candles: {without}")
    if report.instruments_unclassified:
        lines.append(
            f"{report.instruments_unclassified:,} instruments the calendar can't classify got the widest "
            "phases of their segment"
        )
    return "\n".join(lines)
