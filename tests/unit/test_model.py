"""The layouts and numbers that stores, journals and strategies depend on don't change unnoticed."""

import struct
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.model import (
    CANDLE,
    DAY_HEADER,
    NULL,
    ROW,
    TICK,
    Phase,
    Source,
    date_number,
    day_of,
    minute_code,
    minute_start_ms,
)
from tests.unit.core.tick_makers import FRIDAY, OPEN_MS, columns

DAYS = st.dates(date(1971, 1, 1), date(2262, 1, 1))


@pytest.mark.parametrize(
    ("dtype", "packed"),
    [
        (TICK, "<qdqqqII"),
        (CANDLE, "<ddddqqqqIHHHBBI"),
        (DAY_HEADER, "<2sHIHHhhhhHHqq"),
        (ROW, "<HHIddddqqqqIHHHBBI"),
    ],
    ids=["tick", "candle", "day header", "row"],
)
def test_layouts_are_packed_as_documented(dtype: np.dtype[np.void], packed: str) -> None:
    """What numpy writes is what struct and Lua read, field by field: no padding, little-endian."""
    values = [b"RI" if code == "s" else n + 1 for n, code in enumerate(c for c in packed if c.isalpha())]
    record = np.zeros(1, dtype)
    record[0] = tuple(values)
    assert record.tobytes() == struct.pack(packed, *values)
    assert dtype.itemsize == struct.calcsize(packed)


def test_sizes_are_those_of_the_documentation() -> None:
    """Bytes of a tick, a candle, a day's header and a commit's row."""
    assert [t.itemsize for t in (TICK, CANDLE, DAY_HEADER, ROW)] == [48, 80, 40, 88]


@given(DAYS, st.integers(0, 1439))
def test_days_and_minutes_agree_with_the_standard_library(on: date, minute: int) -> None:
    """YYYYMMDD there and back, and the epoch ms at which an IST minute starts."""
    number = (on - date(1970, 1, 1)).days
    assert date_number(number) == int(on.strftime("%Y%m%d"))
    assert day_of(date_number(number)) == number
    start = datetime(on.year, on.month, on.day, tzinfo=ZoneInfo("Asia/Kolkata")) + timedelta(minutes=minute)
    expected = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert minute_start_ms(date_number(number), minute) == expected


def test_the_tests_own_clock() -> None:
    """The session the core's tests play in is 2026-11-20 from 09:15 IST."""
    assert (date_number(FRIDAY), OPEN_MS) == (20261120, minute_start_ms(20261120, 555))


@pytest.mark.parametrize(
    ("minute", "code"),
    [(0, 0), (1, 100), (59, 5900), (60, 10000), (555, 91500), (930, 153000), (1439, 235900)],
)
def test_minute_codes(minute: int, code: int) -> None:
    """IST HHMM00 without leading zeros."""
    assert minute_code(minute) == code


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("sim", Source.SIM),
        ("Upstox", Source.UPSTOX),
        ("DHAN", Source.DHAN),
        ("mine", Source.OTHER),
        ("", Source.OTHER),
    ],
)
def test_feeds_have_their_flags(name: str, flag: Source) -> None:
    """By name in any case; a stranger's ticks are OTHER's."""
    assert Source.of(name) is flag


def test_labels_of_phases_and_sources() -> None:
    """As tables and frames show them; contributors are joined."""
    assert [phase.label for phase in Phase] == [
        "none",
        "pre_open",
        "regular",
        "closing_auction",
        "post_close",
    ]
    assert (Source.UPSTOX | Source.FYERS).label == "upstox+fyers"
    assert Source.BACKFILL.label == "backfill"
    assert Source(0).label == ""


def test_columns_are_sliced_together() -> None:
    """A slice of raw columns holds the same rows of every column, as views."""
    block = columns(*[{"instrument": n, "event_time_ms": n + 1, "oi": 10 * n} for n in range(5)])
    part = block[1:3]
    assert (len(block), len(part)) == (5, 2)
    assert (part.instrument.tolist(), part.event_time_ms.tolist(), part.oi.tolist()) == (
        [1, 2],
        [2, 3],
        [10, 20],
    )
    assert part.last_qty.tolist() == [NULL, NULL]
    assert part.oi.base is block.oi
