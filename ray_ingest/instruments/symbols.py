"""Contracts' symbols as the exchanges write them, whatever broker's master they come from."""

from __future__ import annotations

import polars as pl

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_CODES = tuple("123456789OND")


def with_contract_symbols(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with `monthly` and `contract_symbol`: NIFTY25NOV25000CE, weekly NIFTY25N1825000CE,
    NIFTY25NOVFUT; of an index its name, "" of all else.

    Monthly is what the broker doesn't call weekly; where it doesn't say, the last expiry of a month, futures
    and options each for themselves.
    """
    month = pl.col("expiry").dt.month()
    contract_month = [
        "segment",
        "underlying",
        pl.col("expiry").dt.truncate("1mo"),
        pl.col("kind") == "future",
    ]
    last = pl.col("expiry") == pl.col("expiry").max().over(contract_month)
    year = pl.col("expiry").dt.strftime("%y")
    when = (
        pl.when("monthly")
        .then(year + month.replace_strict(range(1, 13), _MONTHS, return_dtype=pl.String))
        .otherwise(
            year
            + month.replace_strict(range(1, 13), _MONTH_CODES, return_dtype=pl.String)
            + pl.col("expiry").dt.strftime("%d")
        )
    )
    digits = pl.col("strike").cast(pl.String).str.strip_suffix(".0").str.replace(r"^0\.", ".")  # 25000, .915
    strike = digits.fill_null("")
    contract = pl.col("underlying") + when + strike + pl.col("option_type")
    return frame.with_columns(
        monthly=pl.coalesce(~pl.col("weekly"), last).fill_null(False) & pl.col("expiry").is_not_null()
    ).with_columns(contract_symbol=pl.when(kind="index").then("token").otherwise(contract).fill_null(""))
