"""What a user may have meant by a name that no master has."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import polars as pl

from ray_ingest.instruments.columns import SEGMENTS
from ray_ingest.instruments.errors import UnknownInstrumentError

_SHOWN = 3


def unknown(texts: Sequence[str], catalogue: pl.DataFrame) -> UnknownInstrumentError:
    """The error for texts (at least one) that mean no instrument: one line, the first with near matches."""
    first, *others = texts
    near = near_matches(first, catalogue)
    also = f", nor {', '.join(others[:_SHOWN])}{' …' if len(others) > _SHOWN else ''}" if others else ""
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return UnknownInstrumentError(f"{first}: no broker's master has this instrument{also}{hint}")


def near_matches(text: str, catalogue: pl.DataFrame) -> list[str]:
    """Up to three spellings near `text`, best first: names, or symbols with the name they stand for."""
    segment, bar, token = text.upper().partition("|")
    if bar and segment not in SEGMENTS:
        return [f"{near}|{token}" for near in get_close_matches(segment, SEGMENTS, _SHOWN)]
    rows = catalogue.filter(segment=segment) if bar else catalogue.filter(pl.col("expiry").is_null())
    wanted = token if bar else text.upper()
    spelled: dict[str, str] = {}
    for name, symbol in rows.filter(pl.col("symbol") != "").select("name", "symbol").iter_rows():
        spelled.setdefault(symbol.upper(), f"{name} ({symbol})")
    if bar:
        spelled |= {name.partition("|")[2].upper(): name for name in rows["name"]}
    return [spelled[near] for near in get_close_matches(wanted, spelled, _SHOWN)]


def near_words(word: str, known: Sequence[str]) -> str:
    """ "; did you mean NIFTY?", or "" when nothing known is near."""
    near = get_close_matches(word.upper(), known, _SHOWN)
    return f"; did you mean {' or '.join(near)}?" if near else ""
