"""A tape with everything wrong that a file can have and still be read, and what must come of it."""

# ruff: noqa: S106 - tokens here are instruments' names

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ray_ingest.model import minute_start_ms

DAY = 20251215
NEXT_DAY = 20251216
SATURDAY = 20251213
LONG_TOKEN = "T" * 10_240


@dataclass
class Tape:
    """Rows in file order; `rejected` counts those that must be, by reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)

    def add(self, reason: str = "", **values: Any) -> None:
        """One tick; what isn't given is that of a good one. `reason`: why it must be rejected."""
        good = {
            "exchange": "NSE_FO",
            "token": "8765",
            "event_time_ms": at(DAY, "09:15:01"),
            "last_price": 100.0,
            "last_qty": 1,
            "day_volume": None,
            "oi": None,
        }
        self.rows.append(good | values)
        if reason:
            self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def write(self, path: Path) -> Path:
        """As Parquet."""
        schema = {
            "exchange": pl.String,
            "token": pl.String,
            "event_time_ms": pl.Int64,
            "last_price": pl.Float64,
            "last_qty": pl.Int64,
            "day_volume": pl.Int64,
            "oi": pl.Int64,
        }
        pl.DataFrame(self.rows, schema=schema, orient="row").write_parquet(path)
        return path


def at(date: int, clock: str) -> int:
    """Epoch ms of a time of the day in India."""
    hours, minutes, seconds = map(int, clock.split(":"))
    return minute_start_ms(date, hours * 60 + minutes) + seconds * 1000


def bad_tape() -> Tape:
    """Good ticks of several instruments, bad ones of every kind between them."""
    tape = Tape()
    tape.add()
    for price in (float("nan"), 0.0, -5.0, float("inf"), None):
        tape.add("price", last_price=price)
    for column in ("last_qty", "day_volume", "oi"):
        tape.add("quantity", **{column: -7})
    tape.add("quantity", day_volume=2**60)
    tape.add("time_unit", event_time_ms=at(DAY, "09:15:02") // 1000)
    tape.add("time_unit", event_time_ms=at(DAY, "09:15:02") * 1000)
    tape.add("time", event_time_ms=0)
    tape.add("time", event_time_ms=None)
    tape.add("future", event_time_ms=int(time.time() * 1000) + 3_600_000)
    tape.add("outside_session", event_time_ms=at(DAY, "20:00:00"))
    tape.add("holiday", event_time_ms=at(SATURDAY, "10:00:00"))
    tape.add("exchange", exchange="NSE FO")
    tape.add("exchange", exchange=None)
    tape.add("unknown_exchange", exchange="MOON_EQ")
    for token in ("a:b", "a|b", "{a}", "a\nb", "", "   ", None, LONG_TOKEN):
        tape.add("token", token=token)
    tape.add(token="बैंक निफ्टी", last_price=7.5)
    tape.add(token="A B")
    tape.add("token_collision", token="A_B")
    for exchange, price in (("NSE_EQ", 10.0), ("BSE_EQ", 20.0)):
        tape.add(exchange=exchange, token="1333", last_price=price)
    # Out of order by minutes, over a day's boundary and back.
    tape.add(token="9999", event_time_ms=at(DAY, "09:20:00"), last_price=50.0)
    tape.add(token="9999", event_time_ms=at(NEXT_DAY, "09:15:30"), last_price=60.0)
    tape.add(token="9999", event_time_ms=at(DAY, "09:16:00"), last_price=40.0)
    tape.add(token="9999", event_time_ms=at(DAY, "09:20:30"), last_price=55.0)
    return tape
