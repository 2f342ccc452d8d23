"""What the command line shows: a readable table in a terminal, tab-separated values in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import polars as pl
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ray_ingest.instruments.listing import Instruments


def show(columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[str] = ()) -> None:
    """Print a table; None is empty. `numbers` are the columns that stand to the right."""
    texts = [["" if value is None else _text(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in ([*columns], *texts):
            print("\t".join(row))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in texts:
        table.add_row(*map(escape, row))
    Console().print(table)


def instrument_rows(instruments: Instruments, names: Sequence[str]) -> list[tuple[object, ...]]:
    """Name, symbol, expiry, strike, type, lot, tick and the brokers that have it, in the order of `names`."""
    wanted = pl.DataFrame({"name": names}, schema={"name": pl.String()})
    rows = wanted.join(instruments.catalogue, on="name", how="left", maintain_order="left").with_columns(
        symbol=pl.when(pl.col("contract_symbol") == "").then("symbol").otherwise("contract_symbol")
    )
    for broker in instruments.masters:
        has = instruments.mapped(broker).select("name", pl.lit(broker).alias(broker))
        rows = rows.join(has, on="name", how="left", maintain_order="left")
    shown = ("name", "symbol", "expiry", "strike", "option_type", "lot_size", "tick_size")
    brokers = pl.concat_str(list(instruments.masters), separator=" ", ignore_nulls=True)
    return rows.select(*shown, brokers=brokers).rows()


INSTRUMENT_COLUMNS = ("instrument", "symbol", "expiry", "strike", "type", "lot", "tick", "brokers")
INSTRUMENT_NUMBERS = ("strike", "lot", "tick")


def segment_counts(instruments: Instruments) -> list[tuple[object, ...]]:
    """A row a segment: how many names each broker has, how many all of them have, how many there are."""
    brokers = list(instruments.masters)
    rows = instruments.catalogue.select("segment", "name")
    for broker in brokers:
        has = instruments.mapped(broker).select("name", pl.lit(True).alias(broker))
        rows = rows.join(has, on="name", how="left").with_columns(pl.col(broker).fill_null(False))
    counted = rows.group_by("segment").agg(
        pl.col(brokers).sum(), everywhere=pl.all_horizontal(brokers).sum(), names=pl.len()
    )
    return counted.sort("segment").rows()


def unmapped_reasons(instruments: Instruments) -> list[tuple[object, ...]]:
    """A row a broker and reason: how many rows of its master have no name, why, and one of them."""
    rows: list[tuple[object, ...]] = []
    for broker in instruments.masters:
        reason = (
            pl.col("unmapped")
            .str.replace(r"^\S+ is another", "its token is that of another")
            .str.replace(r" of \S+\|.*$", " of a name")
        )
        grouped = (
            instruments.unmapped(broker)
            .group_by(reason.alias("reason"))
            .agg(pl.len(), pl.concat_str("key", "symbol", separator=" ").first())
            .sort("len", descending=True)
        )
        rows += [(broker, count, why, example) for why, count, example in grouped.rows()]
    return rows


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)
