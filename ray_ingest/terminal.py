"""Candles in a terminal: rich tables, and a candle chart as text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
import plotext
import polars as pl
from rich import box
from rich.markup import escape
from rich.table import Table

from ray_ingest.store.records import Candle

BAR_MINUTES = {1: 5, 5: 6, 15: 4}
"""Minutes a bar of the chart may stand for (each beginning at 09:15): bars from one label to the next."""

_FOLLOWED = "{:<18} {:>12} {:>8} {:>8} {:>8} {:>8} {:>8} {:>3}"
FOLLOWED_HEAD = _FOLLOWED.format("instrument", "minute", "open", "high", "low", "close", "volume", "rev")
"""Above lines of `followed_line`."""

_PLOTEXT: Any = plotext  # untyped, and some of its names count as private
_COLUMNS_PER_BAR = 2
_FRAME_COLUMNS = 2  # the axis at the left and the border at the right


def price_text(price: float) -> str:
    """The price with two decimals, or as many as it has."""
    return np.format_float_positional(price, min_digits=2, trim="k")


def latest_table(candles: Iterable[Candle], title: str | None = None) -> Table:
    """One row a candle, in the order given; fits 80 columns. A minute with * is still running."""
    rows = list(candles)
    one_day = len({candle.timestamp.date() for candle in rows}) <= 1
    table = _table(title, ["instrument", "minute"], ["open", "high", "low", "close", "volume", "ticks"])
    for candle in rows:
        table.add_row(
            escape(candle.instrument),
            _minute_text(candle.timestamp, candle.final, one_day),
            price_text(candle.open),
            price_text(candle.high),
            price_text(candle.low),
            _close_text(candle.open, candle.close),
            _integer_text(candle.volume),
            _integer_text(candle.ticks),
        )
    return _explain_running(table, any(not candle.final for candle in rows))


def history_table(frame: pl.DataFrame, title: str | None = None) -> Table:
    """All rows of a `history` frame; fits 80 columns for one day without open interest."""
    with_oi = frame["oi"].count() > 0
    one_day = frame["timestamp"].dt.date().n_unique() <= 1
    table = _table(title, ["minute"], ["open", "high", "low", "close", "volume", *["oi"] * with_oi, "ticks"])
    table.add_column("phase", no_wrap=True)
    for row in frame.iter_rows(named=True):
        table.add_row(
            _minute_text(row["timestamp"], row["final"], one_day),
            price_text(row["open"]),
            price_text(row["high"]),
            price_text(row["low"]),
            _close_text(row["open"], row["close"]),
            _integer_text(row["volume"]),
            *[_integer_text(row["oi"])] * with_oi,
            _integer_text(row["ticks"]),
            row["phase"],
        )
    return _explain_running(table, not frame["final"].all())


def gaps_table(frame: pl.DataFrame) -> Table:
    """All rows of a `gaps` frame; fits 80 columns."""
    table = _table(None, ["from", "to", "producer", "reason", "instrument"], ["missing"])
    for row in frame.iter_rows(named=True):
        same_day = row["start"].date() == row["end"].date()
        table.add_row(
            f"{row['start']:%d %b %H:%M:%S}",
            f"{row['end']:{'%H:%M:%S' if same_day else '%d %b %H:%M:%S'}}",
            escape(row["producer"]),
            row["reason"],
            escape(row["instrument"] or "all"),
            _integer_text(row["missing"]),
        )
    return table


def followed_line(candle: Candle) -> str:
    """One closed candle under `FOLLOWED_HEAD`, in 80 columns unless its name or numbers are long; `rev` is
    empty where it closes and counts its corrections."""
    prices = (price_text(price) for price in (candle.open, candle.high, candle.low, candle.close))
    volume = "–" if candle.volume is None else candle.volume
    minute = f"{candle.timestamp:%d %b %H:%M}"
    return _FOLLOWED.format(candle.instrument, minute, *prices, volume, candle.revision or "").rstrip()


def candle_chart(
    frame: pl.DataFrame, title: str, width: int = 80, height: int = 20, *, colour: bool = False
) -> str:
    """A candlestick chart of a `history` frame, `height` lines of at most `width` columns.

    A bar is a minute, or 5 or 15 where the minutes don't fit; of more than fit, the latest. In colour rising
    bars are green and falling ones red; without, rising ones are ░ and falling ones █.
    """
    if frame.is_empty():
        return f"{title}: no candles"
    room = width - _FRAME_COLUMNS - max(len(price_text(price)) for price in frame["high"])
    most = max(1, (room + 1) // _COLUMNS_PER_BAR)
    minutes, bars = next(
        ((minutes, bars) for minutes in BAR_MINUTES if len(bars := _bars(frame, minutes)) <= most),
        (max(BAR_MINUTES), _bars(frame, max(BAR_MINUTES)).tail(most)),
    )
    return _draw(bars, f"{title}, {_span(bars, minutes)}", BAR_MINUTES[minutes], height, colour)


def _bars(frame: pl.DataFrame, minutes: int) -> pl.DataFrame:
    if minutes == 1:
        return frame
    grouped = frame.group_by(pl.col("timestamp").dt.truncate(f"{minutes}m"), maintain_order=True)
    return grouped.agg(
        pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()
    )


def _span(bars: pl.DataFrame, minutes: int) -> str:
    first: datetime = bars["timestamp"][0]
    last: datetime = bars["timestamp"][-1]
    days = f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    return f"{days}, {minutes}-minute candles"


def _draw(bars: pl.DataFrame, title: str, label_every: int, height: int, colour: bool) -> str:
    """One bar every `_COLUMNS_PER_BAR` columns, so that plotext's rounding can't make two of them touch."""
    columns = max(_COLUMNS_PER_BAR * len(bars) - 1, len(title))
    lowest, highest = bars.select(pl.col("low").min(), pl.col("high").max()).row(0)
    if highest - lowest < 1e-3 * highest:
        lowest, highest = lowest * 0.9995, highest * 1.0005
    prices = _round_prices(lowest, highest, max(2, height // 4))
    labels = [f"{price:.{_decimals(prices)}f}" for price in prices]
    times = range(0, len(bars), label_every)
    _PLOTEXT.terminal.limit(False, False)  # a chart for a file or a log knows no terminal
    figure = _PLOTEXT.figure.clear()
    figure.plot_size(columns + _FRAME_COLUMNS + max(map(len, labels)), height)
    figure.theme("simple")
    figure.title(title)
    figure.ruler("y").lim(lowest, highest)
    figure.ruler("y").ticks(prices, labels=labels)
    figure.ruler("x").lim(0, (columns - 1) / _COLUMNS_PER_BAR)
    figure.ruler("x").ticks(list(times), labels=[f"{bars['timestamp'][i]:%H:%M}" for i in times])
    for i, (open_, high, low, close) in enumerate(bars.select("open", "high", "low", "close").iter_rows()):
        rising = close >= open_
        pixel = _PLOTEXT.pixel(foreground="green" if rising else "red")
        body = _PLOTEXT.marker("█" if colour or not rising else "░", pixel)
        figure.draw(figure.segment((i, i), (low, high), marker=_PLOTEXT.marker("│", pixel)).density("full"))
        figure.draw(figure.segment((i, i), (open_, close), marker=body).density("full"))
    return str(figure.build().string(colorless=not colour)).rstrip("\n")


def _round_prices(lowest: float, highest: float, most: int) -> list[float]:
    """Round, evenly spaced prices from `lowest` to `highest`: about `most` of them."""
    least_step = (highest - lowest) / most
    magnitude = 10.0 ** math.floor(math.log10(least_step))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= least_step)
    return [tick * step for tick in range(math.ceil(lowest / step), math.floor(highest / step) + 1)]


def _decimals(prices: list[float]) -> int:
    """Two, or as many as it takes to tell one price from the next."""
    return max(2, -math.floor(math.log10(prices[1] - prices[0]))) if len(prices) > 1 else 2


def _table(title: str | None, texts: list[str], numbers: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in texts:
        table.add_column(name, overflow="fold")  # where it is narrow, names break and numbers stay whole
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _explain_running(table: Table, some_running: bool) -> Table:
    if some_running:
        table.caption, table.caption_justify = "* still running", "left"
    return table


def _minute_text(timestamp: datetime, final: bool, one_day: bool) -> str:
    return f"{timestamp:{'%H:%M' if one_day else '%d %b %H:%M'}}{' ' if final else '*'}"


def _close_text(open_: float, close: float) -> str:
    return f"[{'green' if close >= open_ else 'red'}]{price_text(close)}[/]"


def _integer_text(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
