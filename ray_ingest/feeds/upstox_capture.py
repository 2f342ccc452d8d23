"""Captures of Upstox's V3 feed as JSON, as its SDK's decoder gives it, turned into rows of the tick columns.

A record is a whole message, `{"type": "live_feed", "feeds": {"NSE_FO|51460": {…}}, "currentTs": "…"}`, or a
feed of its own, `{"instrumentKey": "NSE_FO|51460", "fullFeed": {…}, "_insertion_time": "2025-12-15 09:32"}`.
"""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import IO, Annotated, Any, NamedTuple, cast

import msgspec

from ray_ingest.errors import InputError
from ray_ingest.feeds.tick_batches import unreadable

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Whole = Annotated[float, msgspec.Meta(ge=-(2**53), le=2**53)]  # the feed sends open interest as a double


class TickRow(NamedTuple):
    """One tick in the order of the tick columns; times in epoch ms, None where the feed says nothing."""

    exchange: str
    token: str
    event_time_ms: int | None
    last_price: float
    last_qty: int | None
    day_volume: int | None
    oi: int | None
    receive_time_ms: int | None
    source: str


class _Ltpc(msgspec.Struct):
    ltp: float | None = None
    ltt: _Int64 | None = None
    ltq: _Int64 | None = None


class _Quote(msgspec.Struct):
    ltpc: _Ltpc | None = None
    vtt: _Int64 | None = None
    oi: _Whole | None = None


class _Index(msgspec.Struct):
    ltpc: _Ltpc | None = None


class _Full(msgspec.Struct):
    market: _Quote | None = msgspec.field(default=None, name="marketFF")
    index: _Index | None = msgspec.field(default=None, name="indexFF")


class _Feed(msgspec.Struct):
    ltpc: _Ltpc | None = None
    full: _Full | None = msgspec.field(default=None, name="fullFeed")
    greeks: _Quote | None = msgspec.field(default=None, name="firstLevelWithGreeks")

    def quote(self) -> _Quote:
        """The feed's trade, volume and open interest, whatever its mode."""
        if self.greeks:
            return self.greeks
        if self.full and self.full.market:
            return self.full.market
        return _Quote(self.full.index.ltpc if self.full and self.full.index else self.ltpc)


class _Record(_Feed):
    type: str | None = None
    feeds: dict[str, _Feed] | None = None
    sent_ms: _Int64 | None = msgspec.field(default=None, name="currentTs")
    key: str | None = msgspec.field(default=None, name="instrumentKey")
    inserted: datetime | None = msgspec.field(default=None, name="_insertion_time")


# Not strict: the SDK writes 64-bit integers as strings.
_RECORD = msgspec.json.Decoder(_Record, strict=False)
_RECORDS = msgspec.json.Decoder(list[_Record], strict=False)


def upstox_rows(paths: Sequence[Path], zone: tzinfo, skipped: Counter[str]) -> Iterator[TickRow]:
    """The captures' ticks, several files merged by receive time, each file's own order kept.

    `zone` is the time zone of the recorder's `_insertion_time`. What is no tick is counted in `skipped` by
    reason. Raises InputError naming the file, and the record at fault.
    """
    return heapq.merge(
        *(_file_rows(path, zone, skipped) for path in paths), key=lambda row: row.receive_time_ms or 0
    )


def _file_rows(path: Path, zone: tzinfo, skipped: Counter[str]) -> Iterator[TickRow]:
    done = 0
    try:
        with _open(path) as file:
            for record in _records(file):
                yield from _record_rows(record, zone, skipped)
                done += 1
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not a V3 capture: {error} (after {done} good records)") from None
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from None


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb"))


def _records(file: IO[Any]) -> Iterator[_Record]:
    """The records of a JSON array (put in order if it is newest first), or of JSON lines as they come."""
    first = file.readline()
    while first and not first.strip():
        first = file.readline()
    if first.lstrip().startswith(b"["):
        records = _RECORDS.decode(first + file.read())
        times = [record.sent_ms for record in records if record.sent_ms is not None]
        yield from reversed(records) if times and times[0] > times[-1] else records
        return
    while first:
        if first.strip():
            yield _RECORD.decode(first)
        first = file.readline()


def _record_rows(record: _Record, zone: tzinfo, skipped: Counter[str]) -> Iterator[TickRow]:
    if record.key is not None:
        received = None
        if record.inserted:
            aware = record.inserted if record.inserted.tzinfo else record.inserted.replace(tzinfo=zone)
            received = round(aware.timestamp() * 1000)
        feeds: dict[str, _Feed] = {record.key: record}
    elif record.feeds:
        received, feeds = record.sent_ms, record.feeds
    elif record.sent_ms is not None or record.type:
        skipped[record.type or "message without feeds"] += 1
        return
    else:
        raise msgspec.ValidationError("a record has neither feeds and currentTs nor an instrumentKey")
    for key, feed in feeds.items():
        row = _row(key, feed.quote(), received)
        if row is None:
            skipped["feed without a price"] += 1
        else:
            yield row


def _row(key: str, quote: _Quote, received: int | None) -> TickRow | None:
    """The tick of a quote, or None when it tells no price: the SDK leaves zeros out, so 0 is absent too."""
    last = quote.ltpc
    if last is None or not last.ltp:
        return None
    exchange, _, token = key.partition("|")
    return TickRow(
        exchange,
        token,
        last.ltt,
        last.ltp,
        # Quantities of a conflated feed don't add up to its volume: without a cumulative volume beside it a
        # quantity would be taken for a tape's and summed, so it is left out (37 % of the truth, measured).
        last.ltq if quote.vtt is not None else None,
        quote.vtt,
        int(quote.oi) if quote.oi is not None else None,
        received,
        "upstox",
    )
