"""Files of any broker: whose they are, by what is in them, and one master of all files of a broker."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

from ray_ingest.instruments import dhan, fyers, upstox
from ray_ingest.instruments.columns import named
from ray_ingest.instruments.errors import MastersError

BROKERS = ("upstox", "fyers", "dhan")
_PARSERS: dict[str, Callable[[bytes], pl.DataFrame]] = {
    "upstox": upstox.parse,
    "fyers": fyers.parse,
    "dhan": dhan.parse,
}
_SUFFIXES = (".json", ".csv", ".json.gz", ".csv.gz")


def files_in(places: Iterable[Path]) -> list[Path]:
    """The files given, and of folders their .json, .csv and .gz ones in the order of their names.

    Raises MastersError for what isn't there and for a folder without any.
    """
    files: list[Path] = []
    for place in places:
        inside = (
            sorted(path for path in place.glob("*") if path.name.endswith(_SUFFIXES))
            if place.is_dir()
            else []
        )
        if not place.exists() or (place.is_dir() and not inside):
            raise MastersError(
                f"{place}: {'no .json or .csv file in it' if place.exists() else 'no such file'}"
            )
        files += inside or [place]
    return files


def read_masters(files: Iterable[Path]) -> dict[str, pl.DataFrame]:
    """One master (columns of SCHEMA) a broker, of all its files.

    Raises MastersError for a file that can't be read, and when two of one broker hold the same segment: they
    are masters of two days, and a day has one.
    """
    parts: dict[str, list[pl.DataFrame]] = {}
    holder: dict[tuple[str, str], Path] = {}
    for path in files:
        broker, rows = _read(path)
        for segment in rows["segment"].unique(maintain_order=True):
            other = holder.setdefault((broker, segment), path)
            if other != path:
                raise MastersError(
                    f"{path.name} and {other.name} both hold {broker}'s {segment}: give one of them"
                )
        parts.setdefault(broker, []).append(rows)
    return {
        broker: named(pl.concat(parts[broker], how="diagonal_relaxed"), broker)
        for broker in BROKERS
        if broker in parts
    }


def _read(path: Path) -> tuple[str, pl.DataFrame]:
    try:
        text = path.read_bytes()
        if text[:2] == b"\x1f\x8b":
            text = gzip.decompress(text)
    except (OSError, EOFError, zlib.error) as error:
        raise MastersError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    broker = _broker_of(text)
    try:
        if broker is None:
            raise MastersError("no master of Upstox, Fyers or Dhan")
        rows = _PARSERS[broker](text)
        if rows.is_empty():
            raise MastersError(f"no instrument in this master of {broker.capitalize()}")
    except MastersError as error:
        raise MastersError(f"{path}: {error}") from None
    return broker, rows


def _broker_of(text: bytes) -> str | None:
    first = text[:4096].lstrip(b"\xef\xbb\xbf \r\n\t").split(b"\n", 1)[0]
    if first.startswith(b"["):
        return "upstox"
    if any(column in first for column in (b"SEM_EXM_EXCH_ID", b"EXCH_ID,", b"securityId")):
        return "dhan"
    return "fyers" if first.count(b",") >= 16 and first[:1].isdigit() else None
