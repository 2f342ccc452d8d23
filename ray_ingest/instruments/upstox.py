"""Upstox's master: a JSON array of objects, all segments in one file."""

from __future__ import annotations

import msgspec
import polars as pl

from ray_ingest.instruments.errors import MastersError
from ray_ingest.model import IST_OFFSET_MS


class _Row(msgspec.Struct):
    segment: str
    instrument_key: str
    exchange_token: str = ""
    trading_symbol: str = ""
    name: str = ""
    weekly: bool | None = None
    instrument_type: str = ""
    underlying_symbol: str = ""
    expiry: int | None = None
    strike_price: float | None = None
    lot_size: float | None = None
    tick_size: float | None = None
    isin: str = ""


def parse(text: bytes) -> pl.DataFrame:
    """The file's rows as `columns.named` takes them. Raises MastersError when it isn't such an array."""
    try:
        rows = msgspec.json.decode(text, type=list[_Row])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MastersError(f"not an Upstox master: {error}") from None
    fields = {field: [getattr(row, field) for row in rows] for field in _Row.__struct_fields__}
    expires = pl.col("segment").str.ends_with("_FO")
    after_bar = pl.col("instrument_key").str.split_exact("|", 1).struct.field("field_1")
    return pl.DataFrame(fields, schema=_SCHEMA).select(
        "segment",
        pl.when(pl.col("segment").str.ends_with("_INDEX"))
        .then(after_bar)
        .otherwise("exchange_token")
        .alias("token"),
        key="instrument_key",
        broker_id="exchange_token",
        symbol="trading_symbol",
        description=pl.when(expires.not_()).then("name"),
        underlying="underlying_symbol",
        expiry=(pl.col("expiry") + IST_OFFSET_MS).cast(pl.Datetime("ms")).dt.date(),
        strike="strike_price",
        option_type=pl.when(expires).then("instrument_type"),
        weekly="weekly",
        lot_size=pl.col("lot_size").cast(pl.Int64),
        tick_size=pl.col("tick_size") / 100,  # paise
        isin="isin",
        series=pl.when(expires.not_()).then("instrument_type"),
    )


_SCHEMA = {
    "segment": pl.String(),
    "instrument_key": pl.String(),
    "exchange_token": pl.String(),
    "trading_symbol": pl.String(),
    "name": pl.String(),
    "weekly": pl.Boolean(),
    "instrument_type": pl.String(),
    "underlying_symbol": pl.String(),
    "expiry": pl.Int64(),
    "strike_price": pl.Float64(),
    "lot_size": pl.Float64(),
    "tick_size": pl.Float64(),
    "isin": pl.String(),
}
