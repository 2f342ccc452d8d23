"""Candles of any timeframe, drawn as a trader knows them."""

import logging

import matplotlib.pyplot as plt
import mplfinance as mpf
import numpy as np
import pandas as pd
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import EngFormatter, StrMethodFormatter

GREEN, RED, BLUE, ORANGE, GREY, PALE = "#26a69a", "#ef5350", "#2962ff", "#ff9800", "#787b86", "#ebebeb"
MISSING, AUCTION = "#ffd699", "#e3f2fd"

_COLOURS = mpf.make_marketcolors(
    up=GREEN, down=RED, edge="inherit", wick="inherit", volume="inherit", alpha=1.0
)
_STYLE = mpf.make_mpf_style(base_mpf_style="yahoo", marketcolors=_COLOURS, facecolor="white")

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # that it makes its cache is no news
plt.rcParams |= {
    "axes.edgecolor": PALE,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.color": PALE,
    "legend.frameon": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def tables() -> None:
    """Polars' tables as the notebooks show them."""
    pl.Config(
        tbl_rows=20,
        tbl_cols=20,
        fmt_str_lengths=60,
        float_precision=2,
        thousands_separator=True,
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
    )


def resample(frame: pl.DataFrame, minutes: int, session_open: str = "09:15") -> pl.DataFrame:
    """One-minute candles of `Candles.history` as longer ones, counted from the session's open.

    So the hours of an NSE day begin at 09:15, 10:15, …, and its last one is a short one. Volume stays null
    where no candle has one.
    """
    hour, minute = map(int, session_open.split(":"))
    since_open = pl.duration(hours=hour, minutes=minute)
    start = (pl.col("timestamp") - since_open).dt.truncate(f"{minutes}m") + since_open
    volume = pl.col("volume")
    return frame.group_by(start.alias("timestamp"), maintain_order=True).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.when(volume.is_not_null().any()).then(volume.sum()).alias("volume"),
        pl.col("ticks").sum(),
        pl.col("phase").first(),
    )


def chart(
    title: str,
    frame: pl.DataFrame,
    minutes: int = 1,
    *,
    last: int = 120,
    gaps: pl.DataFrame | None = None,
    session_open: str = "09:15",
) -> Figure:
    """The last candles of `minutes` each, of one-minute ones, over their volume; `gaps` as `Candles.gaps`."""
    figure = plt.figure(figsize=(12, 6.5))
    _draw(figure, title, resample(frame, minutes, session_open), frame, minutes, last, gaps)
    return figure


def timeframes(
    title: str, frame: pl.DataFrame, gaps: pl.DataFrame | None = None, session_open: str = "09:15"
) -> Figure:
    """The same day in four timeframes: 1, 5 and 15 minutes, and hours."""
    figure = plt.figure(figsize=(14, 9))
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=13)
    parts = figure.subfigures(2, 2, wspace=0.02, hspace=0.02).flat
    for part, (minutes, name) in zip(
        parts, {1: "1 minute", 5: "5 minutes", 15: "15 minutes", 60: "1 hour"}.items(), strict=True
    ):
        _draw(part, name, resample(frame, minutes, session_open), frame, minutes, 75, gaps)
    return figure


def _draw(
    figure: Figure | SubFigure,
    title: str,
    longer: pl.DataFrame,
    frame: pl.DataFrame,
    minutes: int,
    last: int,
    gaps: pl.DataFrame | None,
) -> None:
    bars = _on_even_time(longer, minutes).tail(last)
    has_volume = bars["volume"].notna().any()
    axes = figure.subplots(1 + has_volume, 1, sharex=True, height_ratios=[3.2, 1][: 1 + has_volume])
    price, lowest = (axes[0], axes[1]) if has_volume else (axes, axes)
    mpf.plot(
        bars,
        type="candle",
        style=_STYLE,
        ax=price,
        volume=lowest if has_volume else False,
        update_width_config={"volume_linewidth": 0, "candle_width": 0.65, "volume_width": 0.65},
        warn_too_much_data=10_000,
    )
    _mark(price, bars, minutes, gaps)
    if has_volume:
        turnover = (pl.mean_horizontal("high", "low", "close") * pl.col("volume")).cum_sum()
        averages = _on_even_time(
            frame.select("timestamp", (turnover / pl.col("volume").cum_sum()).alias("vwap")), 1
        )
        ends = bars.index + pd.Timedelta(minutes=minutes - 1)
        line = averages["vwap"].ffill().reindex(ends, method="ffill")
        price.plot(np.arange(len(bars)), line, color=BLUE, linewidth=1, label="VWAP of the day's candles")
    for ax in (price, lowest):
        ax.set_ylabel("")
        ax.yaxis.tick_right()
        ax.margins(x=0)
    known = bars.dropna(subset=["close"])
    room = (known["high"].max() - known["low"].min() or 1) * 0.05
    price.set(xlim=(-0.8, len(bars) - 0.2), ylim=(known["low"].min() - room, known["high"].max() + room))
    first, final = known.iloc[0], known.iloc[-1]
    colour = GREEN if final["close"] >= first["open"] else RED
    numbers = (
        f"O {first['open']:,.2f}   H {known['high'].max():,.2f}   L {known['low'].min():,.2f}   "
        f"C {final['close']:,.2f}   {final['close'] / first['open'] * 100 - 100:+.2f} %"
    )
    if has_volume:
        numbers += f"   volume {known['volume'].sum():,.0f}"
        lowest.set_ylim(0, known["volume"].max() * 1.05)
        lowest.yaxis.set_major_formatter(EngFormatter(sep=""))
    price.set_title(title, pad=20)
    price.annotate(numbers, (0, 1), (0, 7), "axes fraction", "offset points", color=colour)
    price.yaxis.set_major_formatter(StrMethodFormatter("{x:,.2f}"))
    price.axhline(final["close"], color=colour, linestyle=":", linewidth=1)
    _label_times(lowest, bars.index, minutes)
    if price.get_legend_handles_labels()[0]:
        price.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=2.1, ncols=4, fontsize=8)


def _on_even_time(bars: pl.DataFrame, minutes: int) -> pd.DataFrame:
    """By IST without its zone (matplotlib would show UTC). A time without a candle keeps its place, empty."""
    frame = bars.to_pandas().set_index("timestamp").tz_localize(None)
    return frame.reindex(pd.date_range(frame.index[0], frame.index[-1], freq=f"{minutes}min"))


def _mark(price: Axes, bars: pd.DataFrame, minutes: int, gaps: pl.DataFrame | None) -> None:
    """Shade the closing auction, times without a candle, and times in which ticks are known to be missing."""
    shades = {
        "closing auction": (AUCTION, bars["phase"] == "closing_auction"),
        "no candle": (PALE, bars["close"].isna()),
    }
    if gaps is not None:
        missing = pd.Series(False, bars.index)
        for start, end in gaps.select(pl.col("start", "end").dt.replace_time_zone(None)).iter_rows():
            missing |= (bars.index + pd.Timedelta(minutes=minutes) > start) & (bars.index <= end)
        shades["ticks are missing"] = (MISSING, missing)
    for label, (colour, where) in shades.items():
        edges = np.flatnonzero(np.diff(where.astype(int).to_numpy(), prepend=0, append=0))
        for begin, end in edges.reshape(-1, 2):
            price.axvspan(begin - 0.5, end - 0.5, color=colour, linewidth=0, zorder=0, label=label)
            label = None


def _label_times(ax: Axes, index: pd.DatetimeIndex, minutes: int) -> None:
    """Some eight times of day, round ones where the candles are short."""
    steps = [step for step in (1, 2, 5, 10, 15, 30, 60, 120) if step >= minutes]
    step = next((step for step in steps if len(index) * minutes / step <= 9), steps[-1])
    of_day = index.hour * 60 + index.minute
    places = np.flatnonzero((of_day - of_day[0]) % step == 0 if minutes > 15 else of_day % step == 0)
    ax.set_xticks(places, [f"{index[place]:%H:%M}" for place in places], rotation=0)
    ax.set_xlabel(f"{index[-1]:%a %d %b %Y}, IST", color=GREY)
