"""`history` over a range of days: what `lua/range.lua` cuts is what the whole day strings hold."""

import struct
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ray_ingest.candles import Candles
from ray_ingest.clock import IST
from ray_ingest.errors import StoreError
from ray_ingest.model import CANDLE, DAY_HEADER, Phase, Source
from ray_ingest.store.records import FRAME_SCHEMA
from ray_ingest.store.scripts import Scripts, script_texts
from tests.candle_writer import FRIDAY, FUTURE, MONDAY, SHARE, THURSDAY, Writer, at
from tests.servers import Server

HEADER_BYTES, RECORD_BYTES = 40, 80
NEWEST = datetime(2026, 11, 27, tzinfo=IST)


def number(day: datetime) -> int:
    """YYYYMMDD."""
    return int(day.strftime("%Y%m%d"))


def put_day(client: redis.Redis, writer: Writer, date: int, first_minute: int, ticks: Sequence[int]) -> None:
    """A day string at its full length: slot n has `ticks[n]` ticks, and numbers that differ everywhere."""
    records = np.zeros(len(ticks), CANDLE)
    slots = np.arange(len(ticks))
    for field, factor in (("open", 1.0), ("high", 1.5), ("low", 0.5), ("close", 1.1)):
        records[field] = (date % 10_000 + slots / 8) * factor
    records["volume"], records["oi"] = slots * 3 - 1, slots % 5 - 1
    records["ticks"], records["phase"] = ticks, Phase.REGULAR
    records["source"] = np.where(slots % 2, Source.UPSTOX | Source.DHAN, Source.SIM)
    records["flags"] = slots % 3 > 0
    header = np.zeros(1, DAY_HEADER)
    header["magic"], header["version"], header["date"] = b"RI", 1, date
    header["first_minute"], header["slots"] = first_minute, len(ticks)
    header["newest_slot"] = header["open_slot"] = header["confirmed_slot"] = -1
    client.set(writer.stem(FUTURE) + str(date), header.tobytes() + records.tobytes())


def register(client: redis.Redis, writer: Writer, date: int) -> None:
    """Make `date` the newest session day the store knows of the future."""
    value = struct.pack("<IH", date, 0xFFFF) + FUTURE.encode()
    client.hset(writer.keys.instruments(0), writer.stem(FUTURE), value)


def dumb_slice(client: redis.Redis, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    """All candles in [start, end) from every day string of the future, read whole, byte by byte."""
    found = []
    for key in client.scan_iter("nse_fo:8765:2*"):
        data = client.get(key)
        date, first_minute = struct.unpack_from("<4xIH", data)
        midnight = datetime.strptime(str(date), "%Y%m%d").replace(tzinfo=IST)
        for at_byte in range(HEADER_BYTES, len(data), RECORD_BYTES):
            minute = first_minute + (at_byte - HEADER_BYTES) // RECORD_BYTES
            timestamp = midnight + timedelta(minutes=minute)
            o, h, low, c, volume, oi, _, _, ticks, _, _, source, phase, flags, _ = struct.unpack_from(
                "<4d4qI3HBBI", data, at_byte
            )
            if ticks and start <= timestamp < end:
                nulls = (None if volume < 0 else volume, None if oi < 0 else oi)
                label = {2: "sim", 40: "upstox+dhan"}[source]
                found.append(
                    (timestamp, o, h, low, c, *nulls, ticks, {2: "regular"}[phase], label, flags & 1 > 0)
                )
    return sorted(found)


@st.composite
def days_of(draw: st.DrawFn) -> dict[int, tuple[int, list[int]]]:
    """First minute and ticks by slot of a few of the days up to `NEWEST`; the others are missing."""
    back = draw(st.sets(st.integers(0, 9), max_size=5))
    return {
        number(NEWEST - timedelta(days=days)): (
            draw(st.sampled_from([0, 540, 555, 1_095])),
            draw(st.lists(st.sampled_from([0, 1, 7]), min_size=1, max_size=40)),
        )
        for days in back
    }


def moments() -> st.SearchStrategy[datetime]:
    """Any second in and around those days, most often near the edges of sessions."""
    minutes = st.sampled_from([0, 1, 539, 540, 541, 555, 556, 570, 595, 1_094, 1_095, 1_134, 1_135, 1_439])
    return st.builds(
        lambda days, minute, seconds: NEWEST + timedelta(days=days, minutes=minute, seconds=seconds),
        st.integers(-11, 2),
        minutes | st.integers(0, 1_439),
        st.sampled_from([0, 0, 0, 1, 59]),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=days_of(), start=moments(), end=moments())
def test_a_range_equals_a_dumb_slice_of_the_whole_days(
    server: Server,
    client: redis.Redis,
    days: dict[int, tuple[int, list[int]]],
    start: datetime,
    end: datetime,
) -> None:
    """Whatever days there are and wherever the range cuts them, every column of every candle is theirs."""
    client.flushall()
    writer = Writer(client)
    register(client, writer, number(NEWEST))
    for date, (first_minute, ticks) in days.items():
        put_day(client, writer, date, first_minute, ticks)
    with Candles(server.url) as candles:
        frame = candles.history(FUTURE, start, end)
        assert dict(frame.schema) == FRAME_SCHEMA
        assert frame.rows() == dumb_slice(client, start, end)


def test_days_missing_in_the_middle_leave_no_trace(candles: Candles, writer: Writer) -> None:
    """Thursday, a Friday without a string, a weekend and Monday: one ascending frame of what there is."""
    writer.client.delete(writer.stem(FUTURE) + str(FRIDAY))
    writer.day(FUTURE, MONDAY, [300.0, np.nan, 302.0])
    frame = candles.history(FUTURE, "2026-11-19T09:16", "2026-11-23T09:18")
    assert frame["close"].to_list() == [101.0, 102.0, 300.0, 302.0]
    assert frame["timestamp"].to_list() == [
        at(THURSDAY, 9, 16), at(THURSDAY, 9, 17), at(MONDAY, 9, 15), at(MONDAY, 9, 17)
    ]  # fmt: skip


def test_a_range_longer_than_one_script_call_is_cut_at_its_two_ends_only(
    server: Server, client: redis.Redis
) -> None:
    """Months are read in several calls; the days between first and last come whole from each of them."""
    writer = Writer(client)
    oldest = NEWEST - timedelta(days=149)
    for days in range(150):
        put_day(client, writer, number(oldest + timedelta(days=days)), 555, [1] * 10)
    register(client, writer, number(NEWEST))
    begin, end = oldest + timedelta(minutes=559), NEWEST + timedelta(minutes=558)
    with Candles(server.url) as candles:
        frame = candles.history(FUTURE, begin, end)
    a_day = frame.group_by(pl.col("timestamp").dt.date(), maintain_order=True).len()["len"].to_list()
    assert a_day == [6, *[10] * 148, 3]
    assert frame["timestamp"].is_sorted()


def test_only_the_minutes_asked_for_travel(writer: Writer, client: redis.Redis) -> None:
    """The server cuts: a few minutes of a day are a few records, however long the day is."""
    scripts, stem = Scripts(client, script_texts()), writer.stem(FUTURE)
    put_day(client, writer, FRIDAY, 540, [1] * 400)

    def read(dates: Sequence[int], begin: int, end: int) -> list[tuple[int, int]]:
        replies: Any = scripts.run("range", [f"{stem}{date}" for date in dates], [begin, end])
        return [(minute, len(records) // RECORD_BYTES) for minute, records in replies]

    assert read([FRIDAY], 600, 605) == [(600, 5)]
    assert read([FRIDAY], 0, 542) == [(540, 2)]
    assert read([FRIDAY], 935, 1_440) == [(935, 5)]
    assert read([FRIDAY], 0, 540) == read([FRIDAY], 940, 1_440) == read([MONDAY], 0, 1_440) == [(0, 0)]
    assert read([THURSDAY, FRIDAY, MONDAY], 556, 541) == [(556, 2), (540, 400), (0, 0)]
    assert read([FRIDAY, MONDAY], 900, 541) == [(900, 40), (0, 0)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda client, key: client.rpush(key, "another program's"),
        lambda client, key: client.hset(key, "another", "program's"),
        lambda client, key: client.set(key, "another program's, longer than the header of any day of ours"),
        lambda client, key: client.set(key, "short"),
        lambda client, key: client.set(key, b"RI\x02\x00" + bytes(HEADER_BYTES - 4 + RECORD_BYTES)),
    ],
    ids=["list", "hash", "text", "short text", "newer layout"],
)
def test_a_day_key_that_is_not_ours_is_named(
    candles: Candles, client: redis.Redis, writer: Writer, spoil: Callable[[redis.Redis, str], object]
) -> None:
    """One such key anywhere in the range is an error in one line naming it, never a hole in the candles."""
    key = writer.stem(SHARE) + str(THURSDAY)
    client.delete(key)
    spoil(client, key)
    with pytest.raises(StoreError, match=key) as caught:
        candles.history(SHARE, "2026-11-18", "2026-11-21")
    assert "\n" not in str(caught.value)
    assert "BADKEY" not in str(caught.value)
