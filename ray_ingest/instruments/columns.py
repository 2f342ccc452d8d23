"""The one frame that every broker's master becomes, and the names given in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl

SCHEMA: dict[str, pl.DataType] = {
    "segment": pl.String(),
    "token": pl.String(),
    "name": pl.String(),
    "key": pl.String(),
    "broker_id": pl.String(),
    "symbol": pl.String(),
    "description": pl.String(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "strike": pl.Float64(),
    "option_type": pl.String(),
    "weekly": pl.Boolean(),
    "lot_size": pl.Int64(),
    "tick_size": pl.Float64(),
    "isin": pl.String(),
    "kind": pl.String(),
    "series": pl.String(),
    "unmapped": pl.String(),
}
"""Columns of a master, one row an instrument of the broker, in the broker's order:

`segment` and `token` are ours and make `name`, "NSE_EQ|2885"; `key` is what the broker is subscribed by;
`broker_id` another id of the broker's (Upstox: exchange token, Fyers: fytoken, Dhan: security id); `symbol`
its trading symbol without exchange or series; `description` a company's or index's name; `expiry` null for
what doesn't expire; `strike` in rupees, null for all but options; `option_type` CE, PE, FUT or ""; `weekly`
null where the broker doesn't say; `tick_size` in rupees; `kind` equity, index, future or option; `series` as
the exchange has it (EQ, BE, SG, …), "" where the broker doesn't say. A row that none of our names fits has a
null `name`, and says in `unmapped` why.
"""

SEGMENTS = (
    "NSE_EQ", "NSE_INDEX", "BSE_INDEX", "BSE_EQ", "NSE_FO", "BSE_FO", "MCX_FO", "NCD_FO", "BCD_FO",
)  # fmt: skip
"""The segments we have, first the one that a symbol alone means."""

CONTRACT = ("segment", "underlying", "expiry", "strike", "option_type")
"""What a derivative is whatever its token: tokens are given to other contracts after expiry."""

_SMALLEST_TICK = 0.01
_TICK_OF_INDEX = {"NSE_INDEX|India VIX": 0.0025}
_PARSED = [name for name in SCHEMA if name not in ("name", "kind", "unmapped")]


@cache
def index_table() -> pl.DataFrame:
    """The kept table of indices: `segment`, `token` (ours: Upstox's name), `broker`, `key` (the broker's)."""
    return pl.read_csv(Path(__file__).with_name("indices.csv"), infer_schema=False)


def named(rows: pl.DataFrame, broker: str) -> pl.DataFrame:
    """A master of SCHEMA from what a parser read: the columns of SCHEMA but `name`, `kind` and `unmapped`.

    An index's token comes from the kept table, except at Upstox, whose names are ours. Of two rows with one
    name the first has it.
    """
    is_index = pl.col("segment").str.ends_with("_INDEX")
    rows = rows.select(pl.col(column).cast(SCHEMA[column]) for column in _PARSED)
    if broker != "upstox":
        known = index_table().filter(broker=broker).select("key", index_segment="segment", index="token")
        rows = rows.join(known, on="key", how="left", maintain_order="left").with_columns(
            segment=pl.coalesce("index_segment", "segment"),
            token=pl.when(is_index).then("index").otherwise("token"),
        )
    expires = pl.col("segment").str.ends_with("_FO")
    fault = (
        pl.when(~pl.col("segment").is_in(SEGMENTS))
        .then("segment " + pl.col("segment") + " is none of ours")
        .when(is_index & pl.col("token").is_null())
        .then(pl.lit("index is not in the kept table"))
        .when(pl.col("token").fill_null("").str.contains(r"^[^:|{}\p{C}]{1,64}$").not_())
        .then(pl.lit("token can't be part of a name"))
        .when(expires & pl.any_horizontal(pl.col("expiry", "underlying", "option_type").is_null()))
        .then(pl.lit("contract without underlying, expiry or type"))
        .when(pl.col("key").is_null() | (pl.col("key") == ""))
        .then(pl.lit("no key to subscribe by"))
        .otherwise(pl.lit(""))
    )
    name = pl.col("segment") + "|" + pl.col("token")
    rows = rows.with_columns(
        pl.when(expires).then("option_type").otherwise(pl.lit("")).fill_null("").alias("option_type"),
        unmapped=fault,
        kind=pl.when(is_index)
        .then(pl.lit("index"))
        .when(expires & (pl.col("option_type") == "FUT"))
        .then(pl.lit("future"))
        .when(expires)
        .then(pl.lit("option"))
        .otherwise(pl.lit("equity")),
    ).with_columns(name=pl.when(pl.col("unmapped") == "").then(name))
    second = pl.col("name").is_not_null() & pl.col("name").is_first_distinct().not_()
    return (
        rows.with_columns(
            name=pl.when(second.not_()).then("name"),
            unmapped=pl.when(second).then("second row of " + pl.col("name")).otherwise("unmapped"),
            strike=pl.when(pl.col("kind") == "option").then("strike"),
            tick_size=_tick_size(),
        )
        .with_columns(pl.col(pl.String).exclude("name").fill_null(""))
        .with_columns(pl.col("isin", "series").replace({"NA": "", "INDEX": ""}))
        .select(*SCHEMA)
    )


def _tick_size() -> pl.Expr:
    """An index has no tick size: one small enough that rounding to it loses nothing of its value."""
    said = pl.when(pl.col("tick_size") > 0).then("tick_size").otherwise(_SMALLEST_TICK)
    special = pl.col("name").replace_strict(_TICK_OF_INDEX, default=_SMALLEST_TICK, return_dtype=pl.Float64)
    return pl.when(pl.col("kind") == "index").then(special).otherwise(said.round(6))
