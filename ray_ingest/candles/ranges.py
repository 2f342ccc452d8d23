"""What users write for a time, read as epoch milliseconds: datetimes, dates and ISO texts, in IST."""

from __future__ import annotations

from datetime import date, datetime

from ray_ingest.clock import IST
from ray_ingest.errors import ConfigError
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, date_number, day_of

DAY_MS = DAY_MINUTES * MINUTE_MS
LARGEST_RANGE_DAYS = 3_660


def instant_ms(moment: datetime | date | str) -> int:
    """Epoch ms of a datetime, of a date (its IST midnight), or of the ISO text of either.

    Without an offset it is IST. Raises ConfigError for anything else.
    """
    value: object = moment
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=IST)
    if not isinstance(value, datetime):
        raise ConfigError(f"{moment!r} is not a time: write 2026-11-20, 2026-11-20T09:15 or a datetime (IST)")
    if value.tzinfo is None:
        value = value.replace(tzinfo=IST)
    return round(value.timestamp() * 1000)


def day_bounds_ms(day: int) -> tuple[int, int]:
    """Epoch ms at which the IST day begins and ends; `day` counts from 1970-01-01."""
    start = day * DAY_MS - IST_OFFSET_MS
    return start, start + DAY_MS


def day_at(instant: int) -> int:
    """The IST day, counted from 1970-01-01, that holds the epoch ms `instant`."""
    return (instant + IST_OFFSET_MS) // DAY_MS


def minute_of_day(instant: int) -> int:
    """The IST minute of the day that holds the epoch ms `instant`."""
    return (instant + IST_OFFSET_MS) % DAY_MS // MINUTE_MS


def range_ms(
    start: datetime | date | str | None, end: datetime | date | str | None, newest_date: int
) -> tuple[int, int]:
    """[start, end) in epoch ms. Without `end` it goes through the newest session day (YYYYMMDD); without
    `start` it is the one day in which `end` lies or which it ends. Raises ConfigError as `instant_ms`."""
    end_ms = day_bounds_ms(day_of(newest_date))[1] if end is None else instant_ms(end)
    start_ms = day_bounds_ms(day_at(end_ms - 1))[0] if start is None else instant_ms(start)
    return start_ms, end_ms


def dates_between(start_ms: int, end_ms: int) -> list[int]:
    """The dates YYYYMMDD that [start_ms, end_ms) touches, ascending; none when it is empty.

    Raises ConfigError for more than `LARGEST_RANGE_DAYS`.
    """
    first, last = day_at(start_ms), day_at(end_ms - 1)
    if last - first >= LARGEST_RANGE_DAYS:
        raise ConfigError(
            f"a range of {last - first + 1:,} days: ask for at most {LARGEST_RANGE_DAYS:,} at once"
        )
    return [date_number(day) for day in range(first, last + 1)] if start_ms < end_ms else []
