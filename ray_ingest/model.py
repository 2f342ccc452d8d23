"""The data everything else passes around: ticks as columns, ticks on the wire, candle records.

All times are epoch milliseconds UTC in int64. A missing integer is `NULL` in raw columns and -1 once
normalised; prices are float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np
import numpy.typing as npt

NULL = np.iinfo(np.int64).min
"""A missing integer in raw columns: differs from every quantity a feed can send, negative ones included."""

MINUTE_MS = 60_000
DAY_MINUTES = 1_440
IST_OFFSET_MS = 19_800_000
"""India Standard Time is UTC+5:30 all year."""

LARGEST_INTEGER = 2**53 - 1
"""Lua numbers are doubles: larger quantities would lose digits inside the store."""


class Phase(IntEnum):
    """Part of a session day a minute belongs to; the value is what candle records carry."""

    NONE = 0
    PRE_OPEN = 1
    REGULAR = 2
    CLOSING_AUCTION = 3
    POST_CLOSE = 4

    @property
    def label(self) -> str:
        """The phase's name as configuration, tables and frames show it: "closing_auction"."""
        return self.name.lower()


class Source(IntFlag):
    """Who contributed to a candle; a record carries the union, so arrival order can't change it."""

    OTHER = 1
    SIM = 2
    REPLAY = 4
    UPSTOX = 8
    FYERS = 16
    DHAN = 32
    BROKER_CANDLE = 64
    BACKFILL = 128

    @classmethod
    def of(cls, name: str) -> Source:
        """The flag of a feed's name; names that aren't ours are OTHER."""
        return cls.__members__.get(name.upper(), cls.OTHER)

    @property
    def label(self) -> str:
        """The contributors' names in lower case joined with "+", as `history()` shows them."""
        return "+".join(member.name.lower() for member in type(self) if member in self and member.name)


class GapReason(IntEnum):
    """Why ticks are known to be missing."""

    RESTART = 1
    """The feed's process ended; what came until the next one listened is lost."""
    OVERFLOW = 2
    """The feed's buffer was full."""
    DISCONNECT = 3
    """The connection to the broker was down."""
    JOURNAL = 4
    """The journal lost ticks that the store had not committed."""

    @property
    def label(self) -> str:
        """As tables and frames show it: "restart"."""
        return self.name.lower()


class Flag(IntFlag):
    """Bits of a candle record's `flags`."""

    FINAL = 1
    GAP = 2


TICK = np.dtype(
    [
        ("event_time_ms", "<i8"),
        ("last_price", "<f8"),
        ("last_qty", "<i8"),
        ("day_volume", "<i8"),
        ("oi", "<i8"),
        ("instrument", "<u4"),
        ("flags", "<u4"),
    ]
)
"""One normalised tick on the wire and in the journal, 48 bytes: `instrument` is an id of the producer's
instrument table, missing integers are -1, `flags` is 0.

With `GAP_NOTE` in `flags` the row is no tick but says that ticks are missing: of `instrument` or of
`ALL_INSTRUMENTS` of the producer, of the event times from `event_time_ms` to `last_qty` (both included), for
the `GapReason` in `day_volume`; `oi` is how many are known to be missing, -1 if that isn't known. It has an
offset like any tick, so it is noted exactly once."""

GAP_NOTE = 1
"""Bit of a TICK row's `flags`."""

ALL_INSTRUMENTS = 0xFFFFFFFF
"""The `instrument` of a gap note that means all of the producer's in the partition."""

CANDLE = np.dtype(
    [
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<i8"),
        ("oi", "<i8"),
        ("volume_low", "<i8"),
        ("volume_high", "<i8"),
        ("ticks", "<u4"),
        ("first_ms", "<u2"),
        ("last_ms", "<u2"),
        ("source", "<u2"),
        ("phase", "u1"),
        ("flags", "u1"),
        ("revision", "<u4"),
    ]
)
"""One minute in a day string, 80 bytes. `volume_low` and `volume_high` are the minute's lowest and highest
cumulative day volume; `first_ms` and `last_ms` are the opening and closing tick's milliseconds within the
minute; -1 is null. A slot with `ticks` 0 holds no candle: it is empty, or only carries the cumulative volume
of a phase that makes none."""

DAY_HEADER = np.dtype(
    [
        ("magic", "S2"),
        ("version", "<u2"),
        ("date", "<u4"),
        ("first_minute", "<u2"),
        ("slots", "<u2"),
        ("newest_slot", "<i2"),
        ("confirmed_slot", "<i2"),
        ("open_slot", "<i2"),
        ("first_slot", "<i2"),
        ("superseded", "<u2"),
        ("reserved", "<u2"),
        ("volume_before", "<i8"),
        ("volume_lowest", "<i8"),
    ]
)
"""The 40 bytes before the records of a day string: magic "RI", layout version 1, session date as YYYYMMDD,
minute of the day (IST) of slot 0, number of slots; then the store's own working state, where -1 is none:
newest slot any tick touched, slot of the last closed candle, slot of the running candle, first slot with a
cumulative volume, 1 when a newer day exists, highest cumulative volume of all minutes before the newest,
lowest of the day."""

ROW = np.dtype([("minute", "<u2"), ("kind", "<u2"), ("group", "<u4"), *CANDLE.descr])
"""One row of a commit, 88 bytes: a partial candle of one instrument and minute of the day (IST), `kind` 0,
the order to close that minute, `kind` 1, or the mark of a gap in it, `kind` 2. In a partial candle `volume`
is the tape's traded quantity (-1 where the feed sends cumulative volume or none), and `ticks` is 0 in a phase
that makes no candles."""

DAY_MAGIC = b"RI"
DAY_VERSION = 1


@dataclass(frozen=True, slots=True)
class TickColumns:
    """Raw ticks in arrival order, as decoders and readers hand them over: n-vectors of equal length.

    `instrument` holds ids of the feed's `InstrumentTable`; a missing integer is `NULL`, a missing price NaN.
    """

    instrument: npt.NDArray[np.uint32]
    event_time_ms: npt.NDArray[np.int64]
    last_price: npt.NDArray[np.float64]
    last_qty: npt.NDArray[np.int64]
    day_volume: npt.NDArray[np.int64]
    oi: npt.NDArray[np.int64]
    receive_time_ms: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.event_time_ms)

    def __getitem__(self, rows: slice) -> TickColumns:
        return TickColumns(
            self.instrument[rows],
            self.event_time_ms[rows],
            self.last_price[rows],
            self.last_qty[rows],
            self.day_volume[rows],
            self.oi[rows],
            self.receive_time_ms[rows],
        )


def joined(blocks: Sequence[TickColumns]) -> TickColumns:
    """One or more blocks of a feed as one, in their order."""
    if len(blocks) == 1:
        return blocks[0]
    names = TickColumns.__slots__
    return TickColumns(*(np.concatenate([getattr(block, name) for block in blocks]) for name in names))


def minute_code(minute_of_day: int) -> int:
    """IST HHMM00 without leading zeros: minute 555 (09:15) is 91500."""
    return minute_of_day // 60 * 10_000 + minute_of_day % 60 * 100


def date_number(day: int) -> int:
    """YYYYMMDD of a day counted from 1970-01-01."""
    text = str(np.datetime64(int(day), "D"))
    return int(text[:4]) * 10_000 + int(text[5:7]) * 100 + int(text[8:10])


def day_of(date: int) -> int:
    """Days from 1970-01-01 to the date YYYYMMDD; the inverse of `date_number`."""
    text = f"{date:08d}"
    return int(np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}", "D").astype(np.int64))


def minute_start_ms(date: int, minute_of_day: int) -> int:
    """Epoch ms at which the IST minute `minute_of_day` of the date YYYYMMDD starts."""
    return (day_of(date) * DAY_MINUTES + minute_of_day) * MINUTE_MS - IST_OFFSET_MS
