"""When keys go: the document's lists by the next session's morning at the latest, history by its days."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.store.expiry import DAY_MS, Expiry
from tests.calendars import calendar, day, ms

HOUR_MS = 3_600_000


def expiry(name: str = "nse", ttl_ms: int = DAY_MS) -> Expiry:
    """As configured by default: 24 h, 30 days of history, an hour of stream."""
    return Expiry(calendar(name), ttl_ms, 30, HOUR_MS)


@pytest.mark.parametrize(
    ("on", "now", "expected"),
    [
        ("2026-11-19", "2026-11-19 09:15", "2026-11-20 09:00"),
        ("2026-11-19", "2026-11-19 08:59", "2026-11-20 08:59"),
        ("2026-11-19", "2026-11-19 15:30", "2026-11-20 09:00"),
        ("2026-11-20", "2026-11-20 15:30", "2026-11-21 15:30"),
        ("2026-11-20", "2026-11-22 23:00", "2026-11-23 09:00"),
        ("2026-11-23", "2026-11-23 15:30", "2026-11-24 15:30"),
        ("2026-11-23", "2026-11-24 20:00", "2026-11-25 09:00"),
        ("2026-11-19", "2026-11-20 08:59:59", "2026-11-20 09:00"),
        ("2026-11-19", "2026-11-20 09:00", "2026-11-21 09:00"),
        ("2022-05-13", "2026-11-20 12:00", "2026-11-21 12:00"),
    ],
    ids=[
        "morning", "a day's TTL is sooner", "after the close", "Friday: by TTL", "over a weekend",
        "before a holiday", "on a holiday evening", "just before morning", "past: a TTL from now", "replayed",
    ],
)  # fmt: skip
def test_lists_go_after_a_day_or_by_the_next_session(on: str, now: str, expected: str) -> None:
    """24 h or 09:00 of the next session day, whichever is sooner; of a day gone by, 24 h from now."""
    assert expiry().lists_at_ms(day(on), ms(now)) == ms(expected)


def test_around_the_clock_there_is_no_morning() -> None:
    """On a 24×7 calendar lists live their full TTL."""
    now = ms("2026-11-19 20:00")
    assert expiry("continuous").lists_at_ms(day("2026-11-19"), now) == now + DAY_MS


def test_the_ttl_is_configurable() -> None:
    """A shorter one ends sooner, a longer one still ends in the morning."""
    now, on = ms("2026-11-19 15:00"), day("2026-11-19")
    assert expiry(ttl_ms=HOUR_MS).lists_at_ms(on, now) == now + HOUR_MS
    assert expiry(ttl_ms=7 * DAY_MS).lists_at_ms(on, now) == ms("2026-11-20 09:00")
    assert expiry(ttl_ms=HOUR_MS).past_at_ms(now) == now + HOUR_MS


@pytest.mark.parametrize(
    ("now", "since"), [("2026-11-19 10:00", "2026-11-20 00:00"), ("2027-01-05 10:00", "2027-01-05 10:00")]
)
def test_history_is_kept_its_days(now: str, since: str) -> None:
    """From the day's end; a day that is replayed later, from its writing."""
    assert expiry().history_at_ms(day("2026-11-19"), ms(now)) == ms(since) + 30 * DAY_MS


def test_stream_entries_are_trimmed_by_age() -> None:
    """What is older than the stream's time."""
    assert expiry().stream_from_ms(ms("2026-11-19 10:00")) == ms("2026-11-19 09:00")


@given(st.integers(day("2021-01-01"), day("2036-12-31")), st.integers(0, 2**31), st.integers(1, 10 * DAY_MS))
def test_no_key_is_ever_born_dead_or_outlives_its_ttl(on: int, later_ms: int, ttl_ms: int) -> None:
    """Whatever the day and the clock, lists expire after now and at most their TTL later."""
    now = on * DAY_MS + later_ms
    assert now < expiry(ttl_ms=ttl_ms).lists_at_ms(on, now) <= now + ttl_ms
    assert expiry().history_at_ms(on, now) > now
