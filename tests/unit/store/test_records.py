"""Day strings and events read back exactly as they were written, and nothing else is taken for them."""

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ray_ingest.errors import StoreError
from ray_ingest.model import CANDLE, DAY_HEADER, Flag, Phase, Source, minute_start_ms
from ray_ingest.store.records import (
    FRAME_SCHEMA,
    IST,
    Candle,
    candle_frame,
    candle_of,
    parse_day,
    parse_event,
    parse_header,
    parse_record,
    record_range,
)

DATE, FIRST_MINUTE, SLOTS = 20261120, 555, 375
DAY_START = datetime(2026, 11, 20, tzinfo=IST)
WHOLE = (minute_start_ms(DATE, 0), minute_start_ms(DATE, 24 * 60))

PRICE = st.floats(0.0001, 1e9)
QUANTITY = st.integers(-1, 2**53 - 1)
RECORD = st.builds(
    lambda prices, quantities, ticks, source, phase, flags, revision: (
        (*prices, *quantities, ticks, 0, 59_999, source, phase, flags, revision)
    ),
    st.tuples(PRICE, PRICE, PRICE, PRICE),
    st.tuples(QUANTITY, QUANTITY, QUANTITY, QUANTITY),
    st.integers(0, 2**32 - 1),
    st.integers(0, 255),
    st.sampled_from(Phase),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
)
RECORDS = st.lists(RECORD, max_size=20).map(lambda rows: np.array(rows, CANDLE))


def day_string(records: npt.NDArray[np.void], version: int = 1, slots: int = SLOTS) -> bytes:
    """A day string with these records from 09:15 on."""
    header = np.zeros(1, DAY_HEADER)
    header["magic"], header["version"], header["date"] = b"RI", version, DATE
    header["first_minute"], header["slots"] = FIRST_MINUTE, slots
    header["confirmed_slot"], header["open_slot"], header["superseded"] = 3, 4, 1
    return header.tobytes() + records.tobytes()


@given(RECORDS)
def test_a_day_string_reads_back_as_it_was_written(records: npt.NDArray[np.void]) -> None:
    """Every field of header and records survives, bit for bit, and the timestamps follow the slots."""
    day = parse_day(day_string(records), "k")
    assert day.records.tobytes() == records.tobytes()
    assert day.header == (1, DATE, FIRST_MINUTE, SLOTS, 3, 4, 1)
    assert day.start_ms().tolist() == [minute_start_ms(DATE, FIRST_MINUTE + i) for i in range(len(records))]


@given(RECORDS)
def test_a_frame_says_the_same_as_its_candles(records: npt.NDArray[np.void]) -> None:
    """The vectorised and the one-by-one reading of the same records agree in every column."""
    day = parse_day(day_string(records), "k")
    candles = [
        candle
        for slot in range(len(records))
        if (candle := candle_of("X|1", DATE, FIRST_MINUTE + slot, records[slot : slot + 1]))
    ]
    frame = candle_frame([day], *WHOLE)
    assert dict(frame.schema) == FRAME_SCHEMA
    assert frame.to_dicts() == [{name: getattr(c, name) for name in FRAME_SCHEMA} for c in candles]


@given(RECORDS, st.integers(-2, 22), st.integers(-2, 22))
def test_a_range_is_half_open(records: npt.NDArray[np.void], first: int, end: int) -> None:
    """A frame holds the candles that start at or after its start and before its end, no others."""
    start = DAY_START + timedelta(minutes=FIRST_MINUTE)
    bounds = (minute_start_ms(DATE, FIRST_MINUTE + first), minute_start_ms(DATE, FIRST_MINUTE + end))
    frame = candle_frame([parse_day(day_string(records), "k")], *bounds)
    expected = [slot for slot in np.flatnonzero(records["ticks"]).tolist() if first <= slot < end]
    assert frame["timestamp"].to_list() == [start + timedelta(minutes=slot) for slot in expected]


@given(hnp.arrays(CANDLE, 1, elements=RECORD), st.integers(0, 1439))
def test_an_event_reads_back_as_it_was_written(record: npt.NDArray[np.void], minute: int) -> None:
    """A closed event is its date, its minute of the day and the record, all unchanged."""
    event = parse_event(np.array([(DATE, minute, 0)], "<u4,<u2,<u2").tobytes() + record.tobytes())
    assert (event.date, event.minute, event.record.tobytes()) == (DATE, minute, record.tobytes())


def test_a_candle_has_the_words_and_times_of_its_record() -> None:
    """-1 is null, bits become names, the minute of the day becomes its start in IST."""
    row = (1.5, 2.5, 0.5, 2.0, -1, 0, -1, -1, 7, 0, 0, Source.UPSTOX | Source.DHAN, Phase.CLOSING_AUCTION)
    record = np.array([(*row, Flag.FINAL | Flag.GAP, 2)], CANDLE)
    assert candle_of("NSE_INDEX|Nifty 50", DATE, FIRST_MINUTE, record) == Candle(
        instrument="NSE_INDEX|Nifty 50",
        timestamp=datetime(2026, 11, 20, 9, 15, tzinfo=IST),
        open=1.5,
        high=2.5,
        low=0.5,
        close=2.0,
        volume=None,
        oi=0,
        ticks=7,
        phase="closing_auction",
        source="upstox+dhan",
        final=True,
        gap=True,
        revision=2,
    )


def test_a_range_without_candles_is_an_empty_typed_frame() -> None:
    """No day, an empty day and a day outside the range give the same columns and types as a full one."""
    empty = parse_day(day_string(np.zeros(0, CANDLE)), "k")
    filled = parse_day(day_string(np.ones(3, CANDLE)), "k")
    for frame in (candle_frame([], 0, 0), candle_frame([empty], *WHOLE), candle_frame([filled], 0, 1)):
        assert frame.is_empty()
        assert dict(frame.schema) == FRAME_SCHEMA
        assert frame.to_pandas().empty


def test_a_candle_is_found_by_any_instant_of_its_minute() -> None:
    """Inside the minute it is the candle; before the day, after its last record, in an empty slot: none."""
    records = np.zeros(3, CANDLE)
    records["ticks"] = [5, 0, 6]
    day = parse_day(day_string(records), "k")
    start = minute_start_ms(DATE, FIRST_MINUTE)
    found = [day.candle("X|1", start + ms) for ms in (-1, 0, 59_999, 60_000, 120_000, 180_000)]
    assert [candle and candle.ticks for candle in found] == [None, 5, 5, None, 6, None]


def test_the_byte_range_of_a_slot_is_its_record() -> None:
    """What GETRANGE fetches for a slot is that record; past the end of a short string it is an empty one."""
    records = np.zeros(3, CANDLE)
    records["ticks"] = [5, 6, 7]
    data = day_string(records)
    ticks = [parse_record(data[first : last + 1])["ticks"][0] for first, last in map(record_range, range(5))]
    assert ticks == [5, 6, 7, 0, 0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "another program"),
        (b"hello", "another program"),
        (b"XX" + bytes(38), "another program"),
        (day_string(np.zeros(2, CANDLE), version=2), "upgrade"),
        (day_string(np.zeros(2, CANDLE)) + b"\0", "damaged"),
        (day_string(np.zeros(3, CANDLE), slots=2), "damaged"),
    ],
)
def test_what_is_no_day_string_is_refused_by_name(data: bytes, words: str) -> None:
    """Foreign, newer and damaged strings are a store error that names the key, never wrong candles."""
    with pytest.raises(StoreError, match=f"^nse_fo:8765:20261120 .*{words}"):
        parse_day(data, "nse_fo:8765:20261120")


def test_a_header_alone_is_enough_for_the_newest_slots() -> None:
    """The first 40 bytes of a day tell where its newest candles are."""
    header = parse_header(day_string(np.zeros(9, CANDLE))[: DAY_HEADER.itemsize], "k")
    assert (header.confirmed_slot, header.open_slot, header.superseded) == (3, 4, 1)


def test_days_follow_one_another_in_a_frame() -> None:
    """Two days' records make one ascending frame."""
    later = np.frombuffer(day_string(np.ones(2, CANDLE)), np.uint8).copy()
    later[: DAY_HEADER.itemsize].view(DAY_HEADER)["date"] = 20261123
    days = [parse_day(day_string(np.ones(2, CANDLE)), "k"), parse_day(later.tobytes(), "k")]
    frame = candle_frame(days, WHOLE[0], WHOLE[1] + 10 * 86_400_000)
    assert frame["timestamp"].dt.date().n_unique() == 2
    assert frame["timestamp"].is_sorted()
    assert isinstance(frame.schema["timestamp"], pl.Datetime)
