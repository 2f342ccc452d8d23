"""Fyers' masters: CSV files without a header, one an exchange and segment."""

from __future__ import annotations

import polars as pl

from ray_ingest.instruments.errors import MastersError
from ray_ingest.model import IST_OFFSET_MS

_COLUMNS = (
    "fytoken", "description", "kind", "lot_size", "tick_size", "isin", "session", "updated", "expiry",
    "symbol", "exchange", "segment", "token", "underlying", "underlying_token", "strike", "option_type",
)  # fmt: skip
_SEGMENTS = {
    "10:10": "NSE_EQ", "10:11": "NSE_FO", "10:12": "NCD_FO", "10:20": "NSE_COM",
    "11:20": "MCX_FO", "12:10": "BSE_EQ", "12:11": "BSE_FO", "12:12": "BCD_FO",
}  # fmt: skip
_INDEX = "10"


def parse(text: bytes) -> pl.DataFrame:
    """The file's rows as `columns.named` takes them. Raises MastersError when it isn't such a file."""
    try:
        rows = pl.read_csv(text, has_header=False, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MastersError(f"not a Fyers master: {str(error).splitlines()[0]}") from None
    if rows.width < len(_COLUMNS):
        raise MastersError(
            f"not a Fyers master: {rows.width} columns where there are at least {len(_COLUMNS)}"
        )
    rows = rows.select(pl.nth(i).alias(name) for i, name in enumerate(_COLUMNS))
    code = pl.col("exchange") + ":" + pl.col("segment")
    is_index = pl.col("kind") == _INDEX
    segment = code.replace_strict(_SEGMENTS, default=code)
    expires = segment.str.ends_with("_FO")
    after = pl.col("symbol").str.slice(4 + pl.col("underlying").str.len_chars())
    number = pl.col("strike").cast(pl.Float64, strict=False)
    return rows.select(
        "token",
        "isin",
        segment=pl.when(is_index & (segment == "NSE_EQ"))
        .then(pl.lit("NSE_INDEX"))
        .when(is_index & (segment == "BSE_EQ"))
        .then(pl.lit("BSE_INDEX"))
        .otherwise(segment),
        key="symbol",
        broker_id="fytoken",
        symbol=pl.when(expires).then(pl.col("symbol").str.slice(4)).otherwise("underlying"),
        description=pl.when(expires.not_()).then("description"),
        underlying=pl.when(expires).then("underlying"),
        expiry=(pl.col("expiry").str.strip_chars().cast(pl.Int64, strict=False) * 1_000 + IST_OFFSET_MS)
        .cast(pl.Datetime("ms"))
        .dt.date(),
        strike=pl.when(number > 0).then(number),
        option_type=pl.when(pl.col("option_type").is_in(["CE", "PE"]))
        .then("option_type")
        .otherwise(pl.lit("FUT")),
        weekly=pl.when(expires).then(after.str.contains(r"^\d\d[A-Z]{3}").not_()),  # 25NOV…, not 25N18…
        lot_size=pl.col("lot_size").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
        tick_size=pl.col("tick_size").cast(pl.Float64, strict=False),  # rupees
        series=pl.when(expires | is_index)
        .then(pl.lit(""))
        .otherwise(pl.col("symbol").str.extract("-([^-]*)$")),
    )
