"""Upstox's V3 frames into columns: parsed by the SDK's own message classes, read field by field.

The SDK makes a dict of each frame (`MessageToDict`), which is its bottleneck; nothing here does. A zero is an
absent value: on the wire nothing tells them apart.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from upstox_client.feeder.proto import MarketDataFeedV3_pb2  # type: ignore[import-untyped]

from ray_ingest.core.connection import Trouble
from ray_ingest.feeds.session.adapter import Keys
from ray_ingest.model import NULL, TickColumns

ODD = -1
"""An open interest that is no 64-bit integer (NaN, infinite, too large): the normaliser rejects the tick."""

_FeedResponse: Any = MarketDataFeedV3_pb2.FeedResponse


class UpstoxDecoder:
    """Frames of every mode, also mixed in one frame. Pure; never raises.

    A tick of `ltpc` has neither volume nor quantity: without a cumulative volume beside it, a quantity would
    be taken for a tape's and summed. An index has none in any mode. `verdict` stays None: Upstox says in no
    frame that a connection is over.
    """

    def __init__(self, keys: Keys) -> None:
        self.dropped: Counter[str] = Counter()
        self.verdict: tuple[Trouble, str] | None = None
        self._ids = keys.ids

    def missed(self) -> None:
        """See `Decoder`: each frame says all."""

    def decode(self, payload: bytes, received_ms: int) -> TickColumns:
        """See `Decoder`. A frame that isn't wholly protobuf counts once in `dropped`, as malformed."""
        try:
            response = _FeedResponse.FromString(payload)
        except DecodeError:
            self.dropped["malformed"] += 1
            return _EMPTY
        feeds = response.feeds
        if not feeds:  # the market's status
            return _EMPTY
        if feeds[next(iter(feeds))].WhichOneof("FeedUnion") == "ltpc":
            trades = self._trades(response, received_ms)
            if trades is not None:
                return trades
        return self._quotes(feeds, received_ms)

    def _trades(self, response: Any, received_ms: int) -> TickColumns | None:
        """A frame of `ltpc` as columns; None when anything in it is missing, unknown or of another mode.

        The class that parsed it writes it anew first, without what it doesn't know: every key and every field
        then comes once at most, so columns as long as the map are aligned, whatever the broker sent.
        """
        count = len(response.feeds)
        response.DiscardUnknownFields()
        columns = _Columns.FromString(response.SerializeToString()).feeds
        last = columns.value.ltpc
        if not len(columns.key) == len(last.ltp) == len(last.ltt) == count:
            return None
        last_price = np.fromiter(last.ltp, np.float64, count)
        if np.count_nonzero(last_price) < count:  # -0.0 is on the wire too
            return None
        try:
            instrument = np.fromiter(map(self._ids.__getitem__, columns.key), np.uint32, count)
        except KeyError:
            return None
        event_time_ms = np.fromiter(last.ltt, np.int64, count)
        absent = _ABSENT[:count] if count <= len(_ABSENT) else np.full(count, NULL)
        received = np.full(count, received_ms, np.int64)
        return TickColumns(instrument, event_time_ms, last_price, absent, absent, absent, received)

    def _quotes(self, feeds: Any, received_ms: int) -> TickColumns:
        """A frame of any feeds, one at a time."""
        ids = self._ids
        rows = []
        for key in feeds:
            instrument = ids.get(key)
            if instrument is None:
                self.dropped["unknown"] += 1
                continue
            feed = feeds[key]
            union = feed.WhichOneof("FeedUnion")
            quote = None
            if union == "fullFeed":
                full = feed.fullFeed
                if full.WhichOneof("FullFeedUnion") == "marketFF":
                    quote = full.marketFF
                    last = quote.ltpc
                else:
                    last = full.indexFF.ltpc
            elif union == "firstLevelWithGreeks":
                quote = feed.firstLevelWithGreeks
                last = quote.ltpc
            else:
                last = feed.ltpc
            price, time_ms = last.ltp, last.ltt
            if not price:
                self.dropped["no_price"] += 1
            elif not time_ms:
                self.dropped["no_time"] += 1
            elif quote is None:
                rows.append((instrument, time_ms, price, 0, 0, 0.0))
            else:
                rows.append((instrument, time_ms, price, last.ltq, quote.vtt, quote.oi))
        return _columns_of(rows, received_ms) if rows else _EMPTY


def _columns_of(rows: list[tuple[int, int, float, int, int, float]], received_ms: int) -> TickColumns:
    instrument, event_time_ms, last_price, last_qty, day_volume, oi = zip(*rows, strict=True)
    volume = _null_for_zero(np.array(day_volume, np.int64))
    quantity = _null_for_zero(np.array(last_qty, np.int64))
    quantity[volume == NULL] = NULL
    return TickColumns(
        np.array(instrument, np.uint32),
        np.array(event_time_ms, np.int64),
        np.array(last_price, np.float64),
        quantity,
        volume,
        _whole(np.array(oi, np.float64)),
        np.full(len(rows), received_ms, np.int64),
    )


def _null_for_zero(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    values[values == 0] = NULL
    return values


def _whole(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Doubles as integers, cut off after the point: zero is NULL, what doesn't fit is `ODD`."""
    fits = np.abs(values) < 2.0**63
    whole = np.where(fits, values, ODD).astype(np.int64)
    whole[values == 0] = NULL
    return whole


def _columns_class() -> Any:
    """A class of the frame's own layout that gives lists where the frame has a map of messages.

    Protobuf merges a message that comes several times into one and appends to its repeated fields. Declared
    the wrong way round, the map's entries are therefore a list of keys, one of prices and one of times, with
    no Python object an instrument.
    """
    scalar = descriptor_pb2.FieldDescriptorProto
    layout: dict[str, tuple[tuple[str, int, int | str], ...]] = {
        "Frame": (("feeds", 2, "Entry"),),
        "Entry": (("key", 1, scalar.TYPE_STRING), ("value", 2, "Feed")),
        "Feed": (("ltpc", 1, "Ltpc"),),
        "Ltpc": (("ltp", 1, scalar.TYPE_DOUBLE), ("ltt", 2, scalar.TYPE_INT64)),
    }
    package = "ray_ingest.upstox"
    file = descriptor_pb2.FileDescriptorProto(name=package, package=package, syntax="proto3")
    for message, fields in layout.items():
        added = file.message_type.add(name=message)
        for name, number, kind in fields:
            if isinstance(kind, str):
                label, reference = scalar.LABEL_OPTIONAL, f".{package}.{kind}"
                added.field.add(
                    name=name, number=number, label=label, type=scalar.TYPE_MESSAGE, type_name=reference
                )
            else:
                added.field.add(name=name, number=number, label=scalar.LABEL_REPEATED, type=kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Frame"))


_Columns = _columns_class()

_ABSENT = np.full(8_192, NULL)
_ABSENT.flags.writeable = False

_EMPTY = TickColumns(
    np.empty(0, np.uint32),
    np.empty(0, np.int64),
    np.empty(0, np.float64),
    *(np.empty(0, np.int64) for _ in range(4)),
)
