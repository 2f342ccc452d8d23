"""Dhan's masters: the compact CSV, the detailed one, and an extract with its API's names for columns."""

from __future__ import annotations

import polars as pl

from ray_ingest.instruments.errors import MastersError

_COMPACT = {
    "exchange": "SEM_EXM_EXCH_ID", "section": "SEM_SEGMENT", "id": "SEM_SMST_SECURITY_ID",
    "symbol": "SEM_TRADING_SYMBOL", "instrument": "SEM_INSTRUMENT_NAME", "lot_size": "SEM_LOT_UNITS",
    "expiry": "SEM_EXPIRY_DATE", "strike": "SEM_STRIKE_PRICE", "option_type": "SEM_OPTION_TYPE",
    "tick_size": "SEM_TICK_SIZE", "series": "SEM_SERIES", "description": "SEM_CUSTOM_SYMBOL",
    "flag": "SEM_EXPIRY_FLAG",
}  # fmt: skip
_DETAILED = {
    "exchange": "EXCH_ID", "section": "SEGMENT", "id": "SECURITY_ID", "symbol": "SYMBOL_NAME",
    "instrument": "INSTRUMENT", "lot_size": "LOT_SIZE", "expiry": "SM_EXPIRY_DATE", "strike": "STRIKE_PRICE",
    "option_type": "OPTION_TYPE", "tick_size": "TICK_SIZE", "series": "SERIES", "isin": "ISIN",
    "underlying": "UNDERLYING_SYMBOL", "description": "DISPLAY_NAME", "flag": "EXPIRY_FLAG",
}  # fmt: skip
_EXTRACT = {
    "venue": "exchangeSegment", "id": "securityId", "symbol": "tradingSymbol", "instrument": "instrument",
    "expiry": "expiryDate", "strike": "strikePrice", "option_type": "optionType",
    "description": "customSymbol",
}  # fmt: skip
_FIELDS = sorted({*_COMPACT, *_DETAILED, *_EXTRACT})

_VENUES = {
    "NSE:E": "NSE_EQ", "NSE:D": "NSE_FNO", "NSE:C": "NSE_CURRENCY", "NSE:M": "NSE_COMM", "NSE:I": "IDX_I",
    "BSE:E": "BSE_EQ", "BSE:D": "BSE_FNO", "BSE:C": "BSE_CURRENCY", "BSE:I": "IDX_I", "MCX:M": "MCX_COMM",
}  # fmt: skip
"""Exchange and section of the files → the segment as Dhan's API has it, which its keys begin with."""
_SEGMENTS = {
    "NSE_FNO": "NSE_FO", "BSE_FNO": "BSE_FO", "MCX_COMM": "MCX_FO", "NSE_CURRENCY": "NCD_FO",
    "BSE_CURRENCY": "BCD_FO", "NSE_EQ": "NSE_EQ", "BSE_EQ": "BSE_EQ", "NSE_COMM": "NSE_COM",
}  # fmt: skip
_DATES = ("%Y-%m-%d", "%d-%m-%Y")


def parse(text: bytes) -> pl.DataFrame:
    """The file's rows as `columns.named` takes them. Raises MastersError when it isn't such a file."""
    try:
        rows = pl.read_csv(text, infer_schema=False, truncate_ragged_lines=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MastersError(f"not a Dhan master: {str(error).splitlines()[0]}") from None
    fields = next(
        (form for form in (_COMPACT, _DETAILED, _EXTRACT) if {*form.values()} <= {*rows.columns}), None
    )
    if fields is None:
        raise MastersError(f"not a Dhan master: its columns are {', '.join(rows.columns)[:80]}")
    place = pl.col("exchange") + ":" + pl.col("section")
    rows = rows.select(
        (pl.col(fields[name]) if name in fields else pl.lit(None, pl.String)).alias(name) for name in _FIELDS
    ).with_columns(venue=pl.coalesce("venue", place.replace_strict(_VENUES, default=place)))
    if fields is _DETAILED:  # its SYMBOL_NAME is a company's name where the others have the symbol
        cash = pl.col("section").is_in(["E", "I"])
        rows = rows.with_columns(symbol=pl.when(cash).then("underlying").otherwise("symbol"))
    is_index = pl.col("venue") == "IDX_I"
    exchange = pl.coalesce("exchange", pl.lit("NSE"))  # the extract doesn't tell; the kept table does
    segment = pl.col("venue").replace_strict(_SEGMENTS, default=pl.col("venue"))
    expires = segment.str.ends_with("_FO")
    kind = pl.col("instrument").str.slice(0, 3)
    day = pl.col("expiry").str.slice(0, 10)
    tick = pl.col("tick_size").cast(pl.Float64, strict=False)
    return rows.select(
        "symbol",
        "isin",
        segment=pl.when(is_index).then(exchange + "_INDEX").otherwise(segment),
        token="id",  # noqa: S106 — an exchange token
        key=pl.col("venue") + ":" + pl.col("id"),
        broker_id="id",
        description=pl.when(expires.not_()).then("description"),
        underlying=pl.when(expires).then(
            # BAJAJ-AUTO-Nov2025-FUT, CARDAMOM-28Nov2025-FUT
            pl.coalesce("underlying", pl.col("symbol").str.extract(r"^(.+?)-\d{0,2}[A-Z][a-z]{2}\d{4}-"))
        ),
        expiry=pl.when(expires).then(pl.coalesce(day.str.to_date(form, strict=False) for form in _DATES)),
        strike=pl.col("strike").cast(pl.Float64, strict=False),
        option_type=pl.when(kind == "FUT").then(pl.lit("FUT")).otherwise("option_type"),
        weekly=pl.col("flag").replace_strict({"W": True, "M": False}, default=None, return_dtype=pl.Boolean),
        lot_size=pl.col("lot_size").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
        tick_size=tick / 100,  # paise
        series=pl.when(expires | is_index).then(pl.lit("")).otherwise("series"),
    )
