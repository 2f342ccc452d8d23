"""What a person sees in the terminal: prices on their rows, minutes under their bars, columns that fit."""

import io
import math
import random
from datetime import datetime, timedelta

import polars as pl
import pytest
from rich.console import Console
from rich.table import Table

from ray_ingest.candles.gaps import GAPS_SCHEMA
from ray_ingest.clock import IST
from ray_ingest.store.records import FRAME_SCHEMA, Candle
from ray_ingest.terminal import (
    FOLLOWED_HEAD,
    candle_chart,
    followed_line,
    gaps_table,
    history_table,
    latest_table,
    price_text,
)

OPENING = datetime(2026, 11, 20, 9, 15, tzinfo=IST)


def walk(minutes: int, start: float = 23_400.0, spread: float = 4.0, seed: int = 1) -> pl.DataFrame:
    """A day's history frame of a random walk."""
    dice = random.Random(seed)
    rows, price = [], start
    for minute in range(minutes):
        close = round(price + dice.gauss(0, spread), 2)
        high = round(max(price, close) + abs(dice.gauss(0, spread / 2)), 2)
        low = round(min(price, close) - abs(dice.gauss(0, spread / 2)), 2)
        time = OPENING + timedelta(minutes=minute)
        rows.append((time, price, high, low, close, 10, None, 3, "regular", "sim", True))
        price = close
    return pl.DataFrame(rows, schema=FRAME_SCHEMA, orient="row")


def shown(table: Table) -> list[str]:
    """The lines of a table on a terminal of 80 columns."""
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def canvas(chart: str) -> list[str]:
    """The rows between the chart's borders, without the price axis."""
    lines = chart.splitlines()
    left = lines[1].index("┌") + 1
    return [line[left:-1] for line in lines[2:-2]]


@pytest.mark.parametrize("seed", range(5))
def test_every_bar_is_drawn_at_its_prices(seed: int) -> None:
    """Wick and body begin and end on the rows nearest to the minute's prices; falling bodies are full."""
    frame = walk(30, seed=seed)
    rows = canvas(candle_chart(frame, "NSE_FO|8765", 80, 20))
    lowest, highest = float(frame["low"].min()), float(frame["high"].max())  # type: ignore[arg-type]
    for i, (open_, high, low, close) in enumerate(frame.select("open", "high", "low", "close").iter_rows()):
        column = [row[2 * i] for row in rows]
        drawn = [row for row, mark in enumerate(column) if mark != " "]
        body = [row for row, mark in enumerate(column) if mark == ("░" if close >= open_ else "█")]
        for row, price in (
            (drawn[0], high),
            (drawn[-1], low),
            (body[0], max(open_, close)),
            (body[-1], min(open_, close)),
        ):
            assert abs(row - (highest - price) / (highest - lowest) * (len(rows) - 1)) < 0.51


def test_labelled_prices_and_times_are_where_they_say() -> None:
    """A price label stands on the row of that price, a time label under the bar of that minute."""
    frame = walk(30)
    lines = candle_chart(frame, "NSE_FO|8765", 80, 20).splitlines()
    left = lines[1].index("┌") + 1
    lowest, highest = float(frame["low"].min()), float(frame["high"].max())  # type: ignore[arg-type]
    labels = {row: float(line[: left - 1]) for row, line in enumerate(lines[2:-2]) if "┤" in line}
    assert len(labels) >= 2
    for row, price in labels.items():
        assert abs(row - (highest - price) / (highest - lowest) * (len(lines) - 5)) < 0.51
    assert [column - left for column, mark in enumerate(lines[-2]) if mark == "┬"] == list(range(0, 60, 10))
    assert lines[-1].split() == ["09:15", "09:20", "09:25", "09:30", "09:35", "09:40"]


@pytest.mark.parametrize(("width", "minutes"), [(160, 5), (80, 15), (40, 15)])
def test_a_whole_day_fits_the_width(width: int, minutes: int) -> None:
    """375 minutes become 5- or 15-minute bars as the width allows, and say so; no line is longer."""
    chart = candle_chart(walk(375), "X", width, 20)
    assert f"X, 2026-11-20, {minutes}-minute candles" in chart
    assert max(map(len, chart.splitlines())) <= max(width, 50)
    assert len(chart.splitlines()) == 20


def test_a_grouped_bar_spans_its_minutes() -> None:
    """Fifteen minutes in one bar: first open, last close, highest high, lowest low."""
    frame = walk(375)
    rows = canvas(candle_chart(frame, "X", 80, 20))
    bars = frame.group_by_dynamic("timestamp", every="15m").agg(pl.col("high").max(), pl.col("low").min())
    lowest, highest = float(frame["low"].min()), float(frame["high"].max())  # type: ignore[arg-type]
    for i, (high, low) in enumerate(bars.select("high", "low").iter_rows()):
        drawn = [row for row, line in enumerate(rows) if line[2 * i] != " "]
        for row, price in ((drawn[0], high), (drawn[-1], low)):
            assert abs(row - (highest - price) / (highest - lowest) * (len(rows) - 1)) < 0.51


@pytest.mark.parametrize("price", [0.05, 12.35, 23_400.0, 5e6])
def test_a_price_that_never_moves_still_draws(price: float) -> None:
    """One minute, or three alike: a chart with its price, not a division by zero."""
    for minutes in (1, 3):
        chart = candle_chart(walk(minutes, price, 0.0), "X", 80, 12)
        assert sum(row.count("░") for row in canvas(chart)) == minutes
        assert math.isclose(
            float(chart.splitlines()[6].split("┤")[0].strip(" │") or price), price, rel_tol=1e-3
        )


def test_no_candles_are_said_so() -> None:
    """An empty frame is a line of text, not an error."""
    assert candle_chart(walk(0), "NSE_EQ|INFY") == "NSE_EQ|INFY: no candles"


def test_colour_is_only_where_it_is_asked_for() -> None:
    """Plain text holds no escape codes; in colour all bodies are full, told apart by green and red."""
    assert "\x1b" not in candle_chart(walk(30), "X")
    coloured = candle_chart(walk(30), "X", colour=True)
    assert "░" not in coloured
    assert "\x1b[38;5;2m█" in coloured
    assert "\x1b[38;5;1m█" in coloured


def test_tables_fit_eighty_columns_and_mark_what_is_running() -> None:
    """Index levels, volumes of millions and long names stay whole; a running minute has its star."""
    time = OPENING + timedelta(minutes=3)
    rest = (12_345_678, None, 1_234, "regular", "sim")
    candles = [
        Candle("NSE_INDEX|Nifty 50", time, 23_400.05, 23_401.1, 23_399.0, 23_400.0, *rest, True, False, 0),
        Candle("NSE_EQ|[bold]", time, 1.5, 2.0, 1.0, 1.75, None, *rest[1:], False, False, 0),
    ]
    lines = shown(latest_table(candles, "Latest candles"))
    assert lines[0] == "Latest candles"
    assert lines[3].split() == (
        [
            "NSE_INDEX|Nifty",
            "50",
            "09:18",
            "23400.05",
            "23401.10",
            "23399.00",
            "23400.00",
            "12,345,678",
            "1,234",
        ]
    )
    assert lines[4].split() == ["NSE_EQ|[bold]", "09:18*", "1.50", "2.00", "1.00", "1.75", "–", "1,234"]
    assert lines[5] == "* still running"
    assert shown(history_table(walk(2)))[2].split()[-2:] == ["3", "regular"]


def test_gaps_are_a_table_of_eighty_columns() -> None:
    """Of all instruments or of one, with how many ticks are missing or a dash where nobody knows."""
    rows = [
        (OPENING, OPENING + timedelta(seconds=2), "sim", "disconnect", None, None),
        (OPENING, OPENING + timedelta(seconds=61), "sim", "overflow", "NSE_INDEX|Nifty 50", 12_345_678),
    ]
    lines = shown(gaps_table(pl.DataFrame(rows, schema=GAPS_SCHEMA, orient="row")))
    assert " ".join(lines[2].split()) == "20 Nov 09:15:00 09:15:02 sim disconnect all –"
    assert " ".join(lines[3].split()) == "20 Nov 09:15:00 09:16:01 sim overflow NSE_INDEX|Nifty 50 12,345,678"
    night = (OPENING, OPENING + timedelta(days=1), "sim", "restart", None, 3)
    (line,) = shown(gaps_table(pl.DataFrame([night], schema=GAPS_SCHEMA, orient="row")))[2:]
    assert " ".join(line.split()) == "20 Nov 09:15:00 21 Nov 09:15:00 sim restart all 3"


def test_followed_lines_stand_under_their_head() -> None:
    """In 80 columns; longer names and numbers still have a space between them."""
    rest = (9, "regular", "sim", True, False)
    candle = Candle("NSE_INDEX|Nifty 50", OPENING, 54_540.4, 54_541, 54_539, 54_540, None, None, *rest, 0)
    large = Candle("NSE_FO|1", OPENING, 1, 1, 1, 1, 12_345_678_901, None, *rest, 3)
    assert len(FOLLOWED_HEAD) == 80
    line = followed_line(candle)
    assert FOLLOWED_HEAD.index(" rev") == len(line)
    assert line.split()[-6:] == ["09:15", "54540.40", "54541.00", "54539.00", "54540.00", "–"]
    assert followed_line(large).split()[-3:] == ["1.00", "12345678901", "3"]


@pytest.mark.parametrize(
    ("price", "text"), [(1.0, "1.00"), (0.0025, "0.0025"), (23_400.05, "23400.05"), (1e-7, "0.0000001")]
)
def test_a_price_has_at_least_two_decimals_and_never_an_exponent(price: float, text: str) -> None:
    """Paise are always shown, finer ticks whole."""
    assert price_text(price) == text
