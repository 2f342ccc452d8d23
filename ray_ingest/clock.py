"""The wall clock, and India's time."""

from __future__ import annotations

import time
from datetime import date, datetime
from zoneinfo import ZoneInfo

IST = ZoneInfo("Asia/Kolkata")


def epoch_ms() -> int:
    """Milliseconds since 1970 in UTC."""
    return time.time_ns() // 1_000_000


def today() -> date:
    """The day it is in India."""
    return datetime.now(IST).date()
