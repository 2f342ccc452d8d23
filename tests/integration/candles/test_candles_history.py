"""Ranges of candles against a real server: which are in, how times are written, how long it takes."""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ray_ingest.candles import Candles
from ray_ingest.errors import ConfigError
from ray_ingest.store.records import FRAME_SCHEMA
from tests.candle_writer import FIRST_MINUTE, FRIDAY, FUTURE, MONDAY, SLOTS, Writer, at


def test_history_is_the_newest_session_day_by_default(candles: Candles) -> None:
    """Its candles ascending, empty minutes left out, the running one included and marked."""
    frame = candles.history(FUTURE)
    assert dict(frame.schema) == FRAME_SCHEMA
    assert frame["timestamp"].to_list() == [at(FRIDAY, 9, 15), at(FRIDAY, 9, 17), at(FRIDAY, 9, 18)]
    assert frame["close"].to_list() == [200.0, 202.0, 203.0]
    assert frame["final"].to_list() == [True, True, False]
    assert frame["oi"].to_list() == [None, None, None]


def test_history_follows_the_day_that_begins_after_it_was_last_asked(
    candles: Candles, writer: Writer
) -> None:
    """What the API remembers of an instrument never shows yesterday as the newest day."""
    assert candles.history(FUTURE)["timestamp"][0] == at(FRIDAY, 9, 15)
    writer.day(FUTURE, FRIDAY, [200.0], newest=False)
    writer.day(FUTURE, MONDAY, [300.0])
    assert candles.history(FUTURE)["timestamp"].to_list() == [at(MONDAY, 9, 15)]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-19T09:16", "2026-11-20T09:17"),
        (datetime(2026, 11, 19, 9, 16), datetime(2026, 11, 20, 9, 17)),
        (datetime(2026, 11, 19, 3, 46, tzinfo=UTC), "2026-11-20T03:47:00Z"),
        ("2026-11-19 09:16:00+05:30", at(FRIDAY, 9, 17)),
    ],
)
def test_a_range_over_days_is_half_open_however_it_is_written(
    candles: Candles, start: datetime | str, end: datetime | str
) -> None:
    """Naive times are IST; the candle at the start is in, the one at the end is out."""
    assert candles.history(FUTURE, start, end)["close"].to_list() == [101.0, 102.0, 200.0]


def test_an_open_end_or_start_means_the_newest_or_the_same_day(candles: Candles) -> None:
    """Without an end it goes through the newest day; without a start it is the day the end cuts or ends."""
    assert len(candles.history(FUTURE, date(2026, 11, 19))) == 6
    assert candles.history(FUTURE, end="2026-11-20T09:18")["close"].to_list() == [200.0, 202.0]
    assert candles.history(FUTURE, end=date(2026, 11, 20))["close"].to_list() == [100.0, 101.0, 102.0]


def test_a_holiday_and_an_empty_range_are_empty_typed_frames(candles: Candles) -> None:
    """No candles is an answer, not an error, and joins with other frames."""
    for start, end in (
        ("2026-11-21", "2026-11-23"),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-21", "2026-11-01"),
    ):
        frame = candles.history(FUTURE, start, end)
        assert frame.is_empty()
        assert dict(frame.schema) == FRAME_SCHEMA


def test_bad_arguments_are_named_in_one_line(candles: Candles) -> None:
    """Interval, time, range and stream position: each error says what is wrong and what to write."""
    for arguments, words in (
        ({"interval": "5m"}, "'5m'.*1m"),
        ({"start": "yesterday"}, "'yesterday' is not a time"),
        ({"start": 1_700_000_000}, "1700000000 is not a time"),
        ({"start": "1990-01-01", "end": "2026-01-01"}, "3,660"),
    ):
        with pytest.raises(ConfigError, match=words):
            candles.history(FUTURE, **arguments)
    with pytest.raises(ConfigError, match="'now' is not a stream id"):
        candles.follow(from_id="now")
    with pytest.raises(ConfigError, match="block_ms"):
        candles.follow(block_ms=0)
    with pytest.raises(ConfigError, match="not both"):
        Candles("unix:///tmp/s", data_dir=Path("d"))


def test_one_candle_is_found_by_its_time(candles: Candles) -> None:
    """The document's historical candle: any instant of the minute, None for an empty minute or a holiday."""
    found = candles.candle(FUTURE, "2026-11-20T09:17:59")
    assert found is not None
    assert (found.timestamp, found.close) == (at(FRIDAY, 9, 17), 202.0)
    assert candles.candle(FUTURE, at(FRIDAY, 9, 16)) is None
    assert candles.candle(FUTURE, "2026-11-22T10:00") is None


def test_a_day_comes_as_numpy_without_loss(candles: Candles) -> None:
    """The low-level read is the stored records themselves, with the header that dates them."""
    day = candles.day(FUTURE, "2026-11-20")
    assert day is not None
    assert day.records["close"].tolist() == [200.0, 0.0, 202.0, 203.0]
    assert day.header.first_minute == FIRST_MINUTE
    assert candles.day(FUTURE, date(2026, 11, 21)) is None


def test_a_day_of_one_instrument_reads_in_well_under_a_millisecond(candles: Candles, writer: Writer) -> None:
    """375 candles become a frame in under a millisecond, a numpy array in less than half of one."""
    writer.day(FUTURE, FRIDAY, [100.0 + i for i in range(SLOTS)])
    assert len(candles.history(FUTURE)) == SLOTS
    best = {}
    for name, read in (
        ("history", lambda: candles.history(FUTURE)),
        ("day", lambda: candles.day(FUTURE, "2026-11-20")),
    ):
        durations = []
        for _ in range(200):
            start = time.perf_counter()
            read()
            durations.append(time.perf_counter() - start)
        best[name] = timedelta(seconds=min(durations))
    assert best["history"] < timedelta(milliseconds=1)
    assert best["day"] < timedelta(milliseconds=0.5)
